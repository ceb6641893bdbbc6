#include "parallel/nccl/testing/process_fake_group.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "parallel/nccl/testing/fake_cuda.h"

namespace blockserve {
namespace {

using Kind = FakeCollective::Kind;

constexpr std::chrono::microseconds kPoll(50);

}  // namespace

std::shared_ptr<FakeGroup> ProcessFakeGroup::Open(const std::string& path,
                                                  int size) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0) return nullptr;
  const size_t num_bytes = static_cast<size_t>(size) * sizeof(Slot);
  void* memory = MAP_FAILED;
  if (ftruncate(file, static_cast<off_t>(num_bytes)) == 0) {
    memory =
        mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  close(file);
  if (memory == MAP_FAILED) return nullptr;
  return std::shared_ptr<FakeGroup>(
      new ProcessFakeGroup(static_cast<Slot*>(memory), size));
}

ProcessFakeGroup::~ProcessFakeGroup() {
  munmap(slots_, static_cast<size_t>(size()) * sizeof(Slot));
}

void ProcessFakeGroup::Join(int rank) { slots_[rank].process = getpid(); }

bool ProcessFakeGroup::IsComplete() const {
  for (int rank = 0; rank < size(); ++rank) {
    if (slots_[rank].process == 0) return false;
  }
  return true;
}

bool ProcessFakeGroup::IsPeerLost() const {
  for (int rank = 0; rank < size(); ++rank) {
    const int32_t process = slots_[rank].process;
    if (process != 0 && kill(process, 0) != 0 && errno == ESRCH) return true;
  }
  return false;
}

bool ProcessFakeGroup::Await(std::atomic<int64_t> Slot::*counter,
                             int64_t count) const {
  for (int rank = 0; rank < size(); ++rank) {
    while (slots_[rank].*counter < count) {
      if (is_aborted_) return false;
      std::this_thread::sleep_for(kPoll);
    }
  }
  return !is_aborted_;
}

void ProcessFakeGroup::Run(int rank, const FakeCollective& collective) {
  const size_t num_bytes = SentBytesOf(collective, size());
  if (num_bytes > kMaxBytes) {
    ReportMisuse("more bytes than the fake has room for");
    return Hang(rank);
  }
  Slot& own = slots_[rank];
  // Until all have read what was there before.
  if (!Await(&Slot::num_received, num_rounds_)) return;
  std::memcpy(own.data, collective.send, num_bytes);
  own.collective = collective;
  own.num_sent = ++num_rounds_;
  if (!Await(&Slot::num_sent, num_rounds_)) return;
  if (!Matches()) return Hang(rank);
  Receive(rank, collective);
  own.num_received = num_rounds_;
}

bool ProcessFakeGroup::Matches() const {
  const FakeCollective& first = slots_[0].collective;
  for (int rank = 1; rank < size(); ++rank) {
    const FakeCollective& other = slots_[rank].collective;
    if (other.kind != first.kind || other.count != first.count ||
        other.type != first.type || other.root != first.root) {
      return false;
    }
  }
  return true;
}

void ProcessFakeGroup::Receive(int rank,
                               const FakeCollective& collective) const {
  const size_t num_bytes = BytesOf(collective);
  auto* const receive = static_cast<unsigned char*>(collective.receive);
  if (collective.kind == Kind::kBroadcast) {
    std::memcpy(receive, slots_[collective.root].data, num_bytes);
    return;
  }
  if (collective.kind == Kind::kAllGather) {
    for (int from = 0; from < size(); ++from) {
      std::memcpy(receive + static_cast<size_t>(from) * num_bytes,
                  slots_[from].data, num_bytes);
    }
    return;
  }
  if (collective.kind == Kind::kReduce && rank != collective.root) return;
  const size_t begin = collective.kind == Kind::kReduceScatter
                           ? static_cast<size_t>(rank) * collective.count
                           : 0;
  std::vector<float> sum(collective.count);
  for (int from = 0; from < size(); ++from) {
    const auto* const terms =
        reinterpret_cast<const float*>(slots_[from].data) + begin;
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] = from == 0 ? terms[i] : sum[i] + terms[i];
    }
  }
  std::memcpy(receive, sum.data(), num_bytes);
}

void ProcessFakeGroup::Hang(int) {
  while (!is_aborted_) std::this_thread::sleep_for(kPoll);
}

void ProcessFakeGroup::Abort(int) { is_aborted_ = true; }

}  // namespace blockserve
