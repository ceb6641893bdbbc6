#include "runtime/cli/server_processes.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "blockserve/v1/generation.grpc.pb.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPollInterval = absl::Milliseconds(10);
// How often a start looks whether it is interrupted.
constexpr absl::Duration kCheckInterval = absl::Milliseconds(100);
// Weights of tens of gigabytes load from slow disks, too.
constexpr absl::Duration kReadyTimeout = absl::Minutes(30);

// The other binaries lie where the build puts them, or beside this one.
absl::StatusOr<std::string> FindBinary(const std::string& build_path,
                                       const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path candidates[] = {
      self.parent_path() / "../.." / build_path / name,
      self.parent_path() / name};
  for (const fs::path& candidate : candidates) {
    if (fs::exists(candidate, error)) {
      return fs::weakly_canonical(candidate, error).string();
    }
  }
  return absl::NotFoundError(
      absl::StrCat("expected the binary ", name, " at ",
                   candidates[0].lexically_normal().string(), " or ",
                   candidates[1].string(), "; build it first"));
}

// Without one that has the backend, the other says how to get it.
absl::StatusOr<std::string> FindWorker(bool wants_cuda) {
  if (wants_cuda) {
    const auto found = FindBinary("runtime/worker", "blockserve_worker_cuda");
    if (found.ok()) return found;
  }
  return FindBinary("runtime/worker", "blockserve_worker");
}

int NumUsableCores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

absl::StatusOr<std::string> MakeDirectory() {
  std::string directory =
      (fs::temp_directory_path() / "blockserve.XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "cannot make a directory ", directory, ": ", std::strerror(errno)));
  }
  return directory;
}

// 256 random bits, for this user's eyes only.
absl::Status WriteSecret(const std::string& path) {
  std::random_device device;
  std::string secret;
  for (int i = 0; i < 8; ++i) absl::StrAppendFormat(&secret, "%08x", device());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
  const ssize_t written =
      file < 0 ? -1 : write(file, secret.data(), secret.size());
  if (file >= 0) close(file);
  if (written == static_cast<ssize_t>(secret.size())) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcesses>> ServerProcesses::Start(
    const ServerProcessesOptions& options) {
  ASSIGN_OR_RETURN(const std::string worker_binary,
                   FindWorker(options.wants_cuda));
  ASSIGN_OR_RETURN(const std::string router_binary,
                   FindBinary("router", "blockserve_router"));
  std::unique_ptr<ServerProcesses> processes(new ServerProcesses(options));
  ASSIGN_OR_RETURN(processes->directory_, MakeDirectory());
  RETURN_IF_ERROR(processes->StartGroups(worker_binary));
  RETURN_IF_ERROR(processes->StartRouter(router_binary));
  RETURN_IF_ERROR(processes->AwaitReady());
  return processes;
}

ServerProcesses::~ServerProcesses() {
  // All at once: each child's end waits for its process.
  for (ServerChild* rank : ranks()) rank->Signal(SIGKILL);
  router_.reset();
  groups_.clear();
  std::error_code error;
  if (!directory_.empty()) fs::remove_all(directory_, error);
}

absl::Status ServerProcesses::StartGroups(const std::string& binary) {
  for (int group = 0; group < options_.num_groups; ++group) {
    groups_.emplace_back();
    ASSIGN_OR_RETURN(auto leader, StartRank(binary, group, 0));
    groups_[group].push_back(std::move(leader));
  }
  // The others are told where their leader listens.
  for (int group = 0; group < options_.num_groups; ++group) {
    RETURN_IF_ERROR(AwaitPorts(*groups_[group][0]));
    for (int rank = 1; rank < options_.world_size; ++rank) {
      ASSIGN_OR_RETURN(auto follower, StartRank(binary, group, rank));
      groups_[group].push_back(std::move(follower));
    }
  }
  for (const Group& group : groups_) {
    for (size_t rank = 1; rank < group.size(); ++rank) {
      RETURN_IF_ERROR(AwaitPorts(*group[rank]));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ServerChild>> ServerProcesses::StartRank(
    const std::string& binary, int group, int rank) {
  const std::string id = absl::StrCat("group-", group, "-rank-", rank);
  const int num_ranks = options_.num_groups * options_.world_size;
  const int threads = options_.num_threads > 0
                          ? options_.num_threads
                          : std::max(1, NumUsableCores() / num_ranks);
  ServerChildOptions child;
  child.name = absl::StrCat("group ", group, " rank ", rank);
  child.binary = binary;
  child.port_file = PathOf(id, "ports");
  child.flags = {absl::StrCat("--model=", options_.model),
                 absl::StrCat("--worker_id=", id),
                 absl::StrCat("--threads=", threads), "--host=127.0.0.1"};
  child.ports = {{"metrics_port", 0}, {"port", 0}};
  if (!options_.log_to_stderr) child.log_file = PathOf(id, "log");
  if (options_.world_size > 1) {
    if (rank == 0) child.ports["group_port"] = 0;
    ASSIGN_OR_RETURN(const auto flags, GroupFlags(group, rank));
    child.flags.insert(child.flags.end(), flags.begin(), flags.end());
  }
  child.flags.insert(child.flags.end(), options_.worker_flags.begin(),
                     options_.worker_flags.end());
  auto started = std::make_unique<ServerChild>(std::move(child));
  RETURN_IF_ERROR(started->Launch());
  return started;
}

absl::StatusOr<std::vector<std::string>> ServerProcesses::GroupFlags(
    int group, int rank) const {
  const std::string secret_file =
      PathOf(absl::StrCat("group-", group), "secret");
  std::vector<std::string> flags = {
      absl::StrCat("--rank=", rank),
      absl::StrCat("--world_size=", options_.world_size),
      absl::StrCat("--group_secret_file=", secret_file)};
  if (rank == 0) {
    RETURN_IF_ERROR(WriteSecret(secret_file));
  } else {
    flags.push_back(absl::StrCat("--leader=127.0.0.1:",
                                 groups_[group][0]->port("group_port")));
  }
  return flags;
}

absl::Status ServerProcesses::StartRouter(const std::string& binary) {
  std::vector<std::string> leaders;
  for (const Group& group : groups_) {
    leaders.push_back(absl::StrCat("127.0.0.1:", group[0]->port("port")));
  }
  ServerChildOptions router;
  router.name = "router";
  router.binary = binary;
  router.port_file = PathOf("router", "ports");
  router.ports = {{"metrics_port", options_.metrics_port},
                  {"port", options_.port}};
  if (!options_.log_to_stderr) router.log_file = PathOf("router", "log");
  router.flags = {absl::StrCat("--workers=", absl::StrJoin(leaders, ",")),
                  absl::StrCat("--host=", options_.host)};
  const std::string tokenizer = options_.model + "/tokenizer.json";
  if (fs::exists(tokenizer)) {
    router.flags.push_back(absl::StrCat("--tokenizer=", tokenizer));
  }
  router.flags.insert(router.flags.end(), options_.router_flags.begin(),
                      options_.router_flags.end());
  router_ = std::make_unique<ServerChild>(std::move(router));
  RETURN_IF_ERROR(router_->Launch());
  return AwaitPorts(*router_);
}

absl::Status ServerProcesses::CheckStart() const {
  if (options_.interrupted()) {
    return absl::CancelledError("interrupted while starting");
  }
  if (absl::Now() < start_time_ + kReadyTimeout) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("not ready within ", absl::FormatDuration(kReadyTimeout)));
}

absl::Status ServerProcesses::AwaitPorts(ServerChild& child) const {
  absl::Status status;
  do {
    RETURN_IF_ERROR(CheckStart());
    status = child.AwaitPorts(absl::Now() + kCheckInterval);
  } while (absl::IsDeadlineExceeded(status));
  return status;
}

absl::Status ServerProcesses::AwaitReady() const {
  const auto stub = v1::InferenceService::NewStub(grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", port()), grpc::InsecureChannelCredentials()));
  while (true) {
    RETURN_IF_ERROR(CheckStart());
    RETURN_IF_ERROR(router_->CheckRunning());
    for (ServerChild* rank : ranks()) RETURN_IF_ERROR(rank->CheckRunning());
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(5)));
    v1::GetModelResponse response;
    if (stub->GetModel(&context, {}, &response).ok() &&
        response.model().worker_count() >= options_.num_groups) {
      return absl::OkStatus();
    }
    absl::SleepFor(kPollInterval);
  }
}

std::string ServerProcesses::PathOf(const std::string& id,
                                    const char* extension) const {
  return absl::StrCat(directory_, "/", id, ".", extension);
}

std::vector<ServerChild*> ServerProcesses::ranks() const {
  std::vector<ServerChild*> all;
  for (const Group& group : groups_) {
    for (const auto& rank : group) all.push_back(rank.get());
  }
  return all;
}

std::vector<int> ServerProcesses::worker_metrics_ports() const {
  std::vector<int> ports;
  for (ServerChild* rank : ranks()) ports.push_back(rank->port("metrics_port"));
  return ports;
}

absl::Status ServerProcesses::Supervise() {
  RETURN_IF_ERROR(router_->CheckRunning());
  for (ServerChild* rank : ranks()) {
    RETURN_IF_ERROR(rank->KeepRunning(absl::Now()));
  }
  return absl::OkStatus();
}

void ServerProcesses::Stop(absl::Time deadline, bool (*interrupted)()) {
  bool is_cut_short = false;
  const auto stop = [&](const std::vector<ServerChild*>& children) {
    for (ServerChild* child : children) child->Signal(SIGTERM);
    for (ServerChild* child : children) {
      while (child->is_running()) {
        is_cut_short |= interrupted() || absl::Now() >= deadline;
        if (is_cut_short) child->Signal(SIGKILL);
        absl::SleepFor(kPollInterval);
      }
    }
  };
  stop({router_.get()});
  // A leader hears of it before its group's others, which step on until it has
  // drained.
  stop(ranks());
}

}  // namespace blockserve
