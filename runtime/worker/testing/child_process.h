// A program that a test starts, watches and ends.
#ifndef BLOCKSERVE_RUNTIME_WORKER_TESTING_CHILD_PROCESS_H_
#define BLOCKSERVE_RUNTIME_WORKER_TESTING_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace blockserve {

// Its standard output and error come as one text.
class ChildProcess {
 public:
  // arguments[0] is the program.
  explicit ChildProcess(std::vector<std::string> arguments);
  ~ChildProcess();  // kills it if it still runs

  void Signal(int number);
  // Reads its output until `text` has come; false if it ended before.
  bool WaitForOutput(const std::string& text);
  // Reads the rest of its output. Its exit code, or -N after signal N.
  int Wait();
  const std::string& output() const { return output_; }

 private:
  bool ReadSome();

  pid_t pid_ = -1;
  int output_fd_ = -1;
  std::string output_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_TESTING_CHILD_PROCESS_H_
