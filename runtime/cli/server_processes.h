// A router and its workers as child processes on this machine.
#ifndef BLOCKSERVE_RUNTIME_CLI_SERVER_PROCESSES_H_
#define BLOCKSERVE_RUNTIME_CLI_SERVER_PROCESSES_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace blockserve {

struct ServerProcessesOptions {
  std::string model;             // directory
  std::string host = "0.0.0.0";  // the router listens here
  int port = 0;                  // 0: any free one
  int metrics_port = 0;
  int num_workers = 1;
  int num_threads = 0;  // per worker; 0: the cores dealt evenly
  std::vector<std::string> worker_flags;  // handed on
  std::vector<std::string> router_flags;
  // Where the children's logs go; empty: this process's standard error.
  std::string log_file;
};

// Workers that end are started again on their port, with growing pauses. All
// children end with this process, however it ends. Used by one thread, which
// must live as long as the children.
class ServerProcesses {
 public:
  // Starts everything and returns when the router serves with all workers. An
  // error carries the last line a child wrote.
  static absl::StatusOr<std::unique_ptr<ServerProcesses>> Start(
      const ServerProcessesOptions& options);

  ~ServerProcesses();  // stops at once what still runs
  ServerProcesses(const ServerProcesses&) = delete;
  ServerProcesses& operator=(const ServerProcesses&) = delete;

  int port() const { return router_.port; }
  int metrics_port() const { return router_.metrics_port; }
  // One for each worker.
  std::vector<int> worker_metrics_ports() const;

  // Collects children that ended and starts due workers again. An error if the
  // router ended.
  absl::Status Supervise();

  // SIGTERM to the router, then to the workers, each given until `deadline` to
  // drain; then SIGKILL. `interrupted` is asked meanwhile: true cuts it short.
  void Stop(absl::Time deadline, bool (*interrupted)());

 private:
  struct Child {
    std::string name;
    std::string binary;
    std::vector<std::string> flags;
    std::string port_file;
    pid_t pid = -1;
    int port = 0;
    int metrics_port = 0;
    int num_restarts = 0;
    absl::Time started;
    absl::Time restart_at = absl::InfiniteFuture();
  };

  ServerProcesses() = default;

  absl::Status Launch(Child& child);
  // Until the child has written its ports.
  absl::Status AwaitPorts(Child& child);
  absl::Status AwaitReady(int num_workers);
  absl::Status ExitError(const Child& child, int wait_status) const;
  // True and the wait status if the child has ended.
  bool Reap(Child& child, int& wait_status);

  std::string directory_;  // of port files; removed at the end
  std::string log_file_;
  Child router_;
  std::vector<Child> workers_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_SERVER_PROCESSES_H_
