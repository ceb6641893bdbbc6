// A server of ours as a child process.
#ifndef BLOCKSERVE_RUNTIME_CLI_SERVER_CHILD_H_
#define BLOCKSERVE_RUNTIME_CLI_SERVER_CHILD_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace blockserve {

struct ServerChildOptions {
  std::string name;  // in messages: "group 1 rank 0"
  std::string binary;
  std::vector<std::string> flags;
  // Flags that take a port. 0: any free one, which the child keeps when it is
  // started again, as others look for it there.
  std::map<std::string, int> ports;
  std::string port_file;  // the child writes it
  std::string log_file;   // empty: this process's standard error
};

// Ends with this process, however that ends. Used by one thread, which must
// live as long as the child.
class ServerChild {
 public:
  explicit ServerChild(ServerChildOptions options);
  ~ServerChild();  // kills it if it runs
  ServerChild(const ServerChild&) = delete;
  ServerChild& operator=(const ServerChild&) = delete;

  absl::Status Launch();
  // Blocks until the child has written its ports. An error if it ends before;
  // DEADLINE_EXCEEDED at `deadline`.
  absl::Status AwaitPorts(absl::Time deadline);
  // OK while it runs; the error says how it ended, with the last line that it
  // wrote. INVALID_ARGUMENT and UNAVAILABLE stand for kExitBadInput and
  // kExitPortInUse.
  absl::Status CheckRunning();
  // Starts it again when it has ended, after pauses that grow from time to
  // time. Call often. An error only if no process can be made.
  absl::Status KeepRunning(absl::Time now);

  void Signal(int number);  // none if it has ended
  bool is_running();
  const std::string& name() const { return options_.name; }
  int port(const std::string& flag) const { return options_.ports.at(flag); }

 private:
  absl::Status ExitError() const;
  std::vector<std::string> CommandLine() const;
  [[noreturn]] void RunBinary(pid_t parent, char* const* argv) const;

  ServerChildOptions options_;
  pid_t pid_ = -1;  // -1: does not run
  int wait_status_ = 0;
  int num_restarts_ = 0;
  absl::Time started_;
  absl::Time restart_at_ = absl::InfiniteFuture();  // that: not decided
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_SERVER_CHILD_H_
