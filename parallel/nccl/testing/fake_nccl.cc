#include "parallel/nccl/testing/fake_nccl.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "parallel/nccl/testing/fake_cuda.h"
#include "parallel/nccl/testing/fake_group.h"
#include "parallel/nccl/testing/process_fake_group.h"

using blockserve::FakeCollective;
using blockserve::FakeGroup;
using blockserve::FakeNcclCounts;
using Kind = blockserve::FakeCollective::Kind;

// Never deleted, so that a use after it was freed is seen.
struct ncclComm {
  std::shared_ptr<FakeGroup> group;
  int rank = 0;
  bool is_freed = false;
  bool is_finalized = false;
  // A launch in progress: so many polls until it reaches the stream.
  std::vector<FakeCollective> launch;
  cudaStream_t stream = nullptr;
  int polls_left = 0;
  // Of what reached the stream; shared with its closures.
  std::shared_ptr<std::atomic<int>> num_running =
      std::make_shared<std::atomic<int>>(0);
  // Shared with what graphs hold.
  std::shared_ptr<bool> in_graphs = std::make_shared<bool>();
};

namespace {

struct State {
  std::mutex mutex;
  int num_polls = 3;
  bool notices_aborts = false;
  std::string path;  // of files that processes share, or empty
  std::map<int, bool> hangs;
  std::map<int, ncclResult_t> async_errors;
  std::map<int, ncclResult_t> failures;
  std::map<int, FakeNcclCounts> counts;
  int64_t next_id = 1;
  std::map<int64_t, std::shared_ptr<FakeGroup>> groups;
  std::vector<std::unique_ptr<ncclComm>> communicators;
};

State& TheState() {
  static auto* const state = new State();
  return *state;
}

// What a thread has called between ncclGroupStart and ncclGroupEnd.
struct OpenGroup {
  int depth = 0;
  ncclComm_t communicator = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<FakeCollective> calls;
};
thread_local OpenGroup open_group;

bool CheckUsable(ncclComm_t communicator, const char* call) {
  if (communicator == nullptr || communicator->is_freed) {
    blockserve::ReportMisuse(std::string(call) +
                             " of a communicator that was freed");
    return false;
  }
  return true;
}

// Puts a launch on its stream, as NCCL's own thread does some time later.
void Launch(State& state, ncclComm_t communicator) {
  const bool hangs = std::exchange(state.hangs[communicator->rank], false);
  const auto run = [group = communicator->group, rank = communicator->rank,
                    hangs, calls = std::move(communicator->launch)] {
    if (hangs) group->Hang(rank);
    for (const FakeCollective& call : calls) group->Run(rank, call);
  };
  if (blockserve::IsRecording(communicator->stream)) {
    --*communicator->num_running;
    blockserve::EnqueueOnFakeStream(
        communicator->stream,
        [run, token = communicator->in_graphs] { run(); });
  } else {
    blockserve::EnqueueOnFakeStream(
        communicator->stream, [run, num_running = communicator->num_running] {
          run();
          --*num_running;
        });
  }
  blockserve::OweLaunch(communicator->stream, -1);
  communicator->launch.clear();
}

ncclResult_t EndGroup() {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  const ncclComm_t communicator =
      std::exchange(open_group.communicator, nullptr);
  std::vector<FakeCollective> calls = std::exchange(open_group.calls, {});
  if (communicator == nullptr) return ncclSuccess;
  if (!communicator->launch.empty()) {
    blockserve::ReportMisuse("a launch while another is in progress");
    return ncclInvalidUsage;
  }
  ++state.counts[communicator->rank].num_launches;
  ++*communicator->num_running;
  communicator->launch = std::move(calls);
  communicator->stream = open_group.stream;
  communicator->polls_left = state.num_polls;
  blockserve::OweLaunch(communicator->stream, 1);
  if (state.num_polls > 0) return ncclInProgress;
  Launch(state, communicator);
  return ncclSuccess;
}

ncclResult_t Call(const char* name, const FakeCollective& call,
                  ncclComm_t communicator, cudaStream_t stream) {
  {
    State& state = TheState();
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (!CheckUsable(communicator, name)) return ncclInvalidArgument;
    const auto failure = state.failures.find(communicator->rank);
    if (failure != state.failures.end()) {
      const ncclResult_t result = failure->second;
      state.failures.erase(failure);
      return result;
    }
    state.counts[communicator->rank].collectives.push_back(name);
    open_group.communicator = communicator;
    open_group.stream = stream;
    open_group.calls.push_back(call);
  }
  return open_group.depth > 0 ? ncclSuccess : EndGroup();
}

}  // namespace

namespace blockserve {

void FakeNccl::Reset() {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.num_polls = 3;
  state.notices_aborts = false;
  state.hangs.clear();
  state.async_errors.clear();
  state.failures.clear();
  state.counts.clear();
}

void FakeNccl::SetPolls(int num_polls) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  TheState().num_polls = num_polls;
}

void FakeNccl::HangNext(int rank) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  TheState().hangs[rank] = true;
}

void FakeNccl::SetAsyncError(int rank, ncclResult_t error) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  TheState().async_errors[rank] = error;
}

void FakeNccl::FailNextCall(int rank, ncclResult_t error) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  TheState().failures[rank] = error;
}

void FakeNccl::ShareAmongProcesses(const std::string& path) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  TheState().path = path;
}

void FakeNccl::SetNoticesAborts(bool notices) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  TheState().notices_aborts = notices;
}

FakeNcclCounts FakeNccl::CountsOf(int rank) {
  const std::lock_guard<std::mutex> lock(TheState().mutex);
  return TheState().counts[rank];
}

}  // namespace blockserve

extern "C" {

const char* ncclGetErrorString(ncclResult_t) { return "an error of the fake"; }
const char* ncclGetLastError(ncclComm_t) { return ""; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  std::memset(id, 0, sizeof(*id));
  std::memcpy(id->internal, &state.next_id, sizeof(state.next_id));
  // Whoever draws it: processes that share files draw different ones.
  const int64_t process = getpid();
  std::memcpy(id->internal + sizeof(state.next_id), &process, sizeof(process));
  ++state.next_id;
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int size,
                                    ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (config == nullptr || config->blocking != 0) {
    blockserve::ReportMisuse("a communicator that blocks");
  }
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  int64_t number = 0;
  std::memcpy(&number, id.internal, sizeof(number));
  int64_t process = 0;
  std::memcpy(&process, id.internal + sizeof(number), sizeof(process));
  // Another process's are not known here.
  if (number <= 0 || (state.path.empty() && number >= state.next_id)) {
    return ncclInvalidArgument;
  }
  std::shared_ptr<FakeGroup>& group = state.groups[number];
  if (group == nullptr && state.path.empty()) {
    group = std::make_shared<blockserve::ThreadFakeGroup>(size);
  } else if (group == nullptr) {
    group = blockserve::ProcessFakeGroup::Open(state.path + "." +
                                                   std::to_string(process) +
                                                   "." + std::to_string(number),
                                               size);
    if (group == nullptr) return ncclSystemError;
  }
  group->Join(rank);
  state.communicators.push_back(std::make_unique<ncclComm>());
  *communicator = state.communicators.back().get();
  (*communicator)->group = group;
  (*communicator)->rank = rank;
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator,
                                   ncclResult_t* error) {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!CheckUsable(communicator, "ncclCommGetAsyncError")) {
    return ncclInvalidArgument;
  }
  *error = ncclSuccess;
  const auto injected = state.async_errors.find(communicator->rank);
  if (injected != state.async_errors.end()) {
    *error = injected->second;
  } else if (communicator->group->IsPeerLost()) {
    *error = ncclRemoteError;
  } else if (!communicator->group->IsComplete()) {
    *error = ncclInProgress;
  } else if (!communicator->launch.empty()) {
    *error = ncclInProgress;
    if (--communicator->polls_left <= 0) Launch(state, communicator);
  } else if (communicator->is_finalized && *communicator->num_running > 0) {
    *error = ncclInProgress;
  }
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t communicator) {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!CheckUsable(communicator, "ncclCommFinalize")) {
    return ncclInvalidArgument;
  }
  if (std::exchange(communicator->is_finalized, true)) {
    blockserve::ReportMisuse("finalized twice");
  }
  ++state.counts[communicator->rank].num_finalized;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!CheckUsable(communicator, "ncclCommDestroy")) return ncclInvalidArgument;
  if (!communicator->is_finalized || *communicator->num_running > 0) {
    blockserve::ReportMisuse("destroyed before it was finalized");
  }
  // The real one waits for them, for ever.
  if (communicator->in_graphs.use_count() > 1) {
    blockserve::ReportMisuse("destroyed while a graph holds its calls");
  }
  communicator->is_freed = true;
  ++state.counts[communicator->rank].num_destroyed;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!CheckUsable(communicator, "ncclCommAbort")) return ncclInvalidArgument;
  communicator->is_freed = true;
  ++state.counts[communicator->rank].num_aborts;
  if (!communicator->launch.empty()) {
    communicator->launch.clear();
    blockserve::OweLaunch(communicator->stream, -1);
  }
  communicator->group->Abort(communicator->rank);
  for (int peer = 0; state.notices_aborts && peer < communicator->group->size();
       ++peer) {
    if (peer != communicator->rank) state.async_errors[peer] = ncclRemoteError;
  }
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++open_group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (open_group.depth == 0) {
    blockserve::ReportMisuse("ncclGroupEnd without ncclGroupStart");
    return ncclInvalidUsage;
  }
  return --open_group.depth > 0 ? ncclSuccess : EndGroup();
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count,
                           ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t communicator, cudaStream_t stream) {
  return Call("all_reduce", {Kind::kAllReduce, send, receive, count, type, 0},
              communicator, stream);
}

ncclResult_t ncclReduce(const void* send, void* receive, size_t count,
                        ncclDataType_t type, ncclRedOp_t, int root,
                        ncclComm_t communicator, cudaStream_t stream) {
  return Call("reduce", {Kind::kReduce, send, receive, count, type, root},
              communicator, stream);
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count,
                               ncclDataType_t type, ncclRedOp_t,
                               ncclComm_t communicator, cudaStream_t stream) {
  return Call("reduce_scatter",
              {Kind::kReduceScatter, send, receive, count, type, 0},
              communicator, stream);
}

ncclResult_t ncclAllGather(const void* send, void* receive, size_t count,
                           ncclDataType_t type, ncclComm_t communicator,
                           cudaStream_t stream) {
  return Call("all_gather", {Kind::kAllGather, send, receive, count, type, 0},
              communicator, stream);
}

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count,
                           ncclDataType_t type, int root,
                           ncclComm_t communicator, cudaStream_t stream) {
  return Call("broadcast", {Kind::kBroadcast, send, receive, count, type, root},
              communicator, stream);
}

}  // extern "C"
