#include "runtime/worker/testing/child_process.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace blockserve {

ChildProcess::ChildProcess(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int pipe_fds[2];
  PCHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
  pid_ = fork();
  PCHECK(pid_ >= 0);
  if (pid_ == 0) {  // only async-signal-safe calls until exec
    dup2(pipe_fds[1], STDOUT_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(pipe_fds[1]);
  output_fd_ = pipe_fds[0];
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  close(output_fd_);
}

void ChildProcess::Signal(int number) { PCHECK(kill(pid_, number) == 0); }

bool ChildProcess::WaitForOutput(const std::string& text) {
  while (output_.find(text) == std::string::npos) {
    if (!ReadSome()) return false;
  }
  return true;
}

int ChildProcess::Wait() {
  while (ReadSome()) {
  }
  int status = 0;
  PCHECK(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

bool ChildProcess::ReadSome() {
  char buffer[4096];
  const ssize_t length = read(output_fd_, buffer, sizeof(buffer));
  if (length <= 0) return false;
  output_.append(buffer, static_cast<size_t>(length));
  return true;
}

}  // namespace blockserve
