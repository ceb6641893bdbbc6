// A router and groups of ranks as child processes on this machine.
#ifndef BLOCKSERVE_RUNTIME_CLI_SERVER_PROCESSES_H_
#define BLOCKSERVE_RUNTIME_CLI_SERVER_PROCESSES_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/cli/server_child.h"

namespace blockserve {

struct ServerProcessesOptions {
  std::string model;             // directory
  std::string host = "0.0.0.0";  // the router listens here
  int port = 0;                  // 0: any free one
  int metrics_port = 0;
  int num_groups = 1;
  int world_size = 1;       // ranks of a group
  int num_threads = 0;      // per rank; 0: the cores dealt evenly
  bool wants_cuda = false;  // workers with that backend, if they were built
  std::vector<std::string> worker_flags;  // handed on to every rank
  std::vector<std::string> router_flags;
  // The children write to this process's standard error; else to files that
  // are removed at the end.
  bool log_to_stderr = true;
  // Asked while Start waits; true ends it with CANCELLED.
  std::function<bool()> interrupted = [] { return false; };
};

// Ranks that end are started again on their ports, with growing pauses: the
// ranks that are left find a leader where it was. All children end with this
// process, however it ends. Used by one thread, which must live as long as the
// children.
class ServerProcesses {
 public:
  // Starts everything and returns when the router serves with all groups. An
  // error names the child that ended; without log_to_stderr, with the last line
  // it wrote.
  static absl::StatusOr<std::unique_ptr<ServerProcesses>> Start(
      const ServerProcessesOptions& options);

  ~ServerProcesses();  // stops at once what still runs
  ServerProcesses(const ServerProcesses&) = delete;
  ServerProcesses& operator=(const ServerProcesses&) = delete;

  int port() const { return router_->port("port"); }
  int metrics_port() const { return router_->port("metrics_port"); }
  // One for each rank, group by group.
  std::vector<int> worker_metrics_ports() const;

  // Collects children that ended and starts due ranks again. An error if the
  // router ended.
  absl::Status Supervise();

  // SIGTERM to the router and, when it has ended, to the ranks, each given
  // until `deadline` to drain; then SIGKILL. `interrupted` is asked meanwhile:
  // true cuts it short.
  void Stop(absl::Time deadline, bool (*interrupted)());

 private:
  // Rank 0, the leader, first.
  using Group = std::vector<std::unique_ptr<ServerChild>>;

  explicit ServerProcesses(const ServerProcessesOptions& options)
      : options_(options) {}

  absl::Status StartGroups(const std::string& binary);
  absl::Status StartRouter(const std::string& binary);
  absl::StatusOr<std::unique_ptr<ServerChild>> StartRank(
      const std::string& binary, int group, int rank);
  // The part of a rank's flags that is about its group.
  absl::StatusOr<std::vector<std::string>> GroupFlags(int group,
                                                      int rank) const;
  absl::Status AwaitPorts(ServerChild& child) const;
  absl::Status AwaitReady() const;
  // CANCELLED if interrupted, DEADLINE_EXCEEDED if the start takes too long.
  absl::Status CheckStart() const;
  // Where a child's files lie: "/tmp/blockserve.x/group-1-rank-0.ports".
  std::string PathOf(const std::string& id, const char* extension) const;
  std::vector<ServerChild*> ranks() const;

  const ServerProcessesOptions options_;
  const absl::Time start_time_ = absl::Now();
  std::string directory_;  // removed at the end
  std::vector<Group> groups_;
  std::unique_ptr<ServerChild> router_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_SERVER_PROCESSES_H_
