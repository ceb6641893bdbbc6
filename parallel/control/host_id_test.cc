#include "parallel/control/host_id.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace blockserve {
namespace {

// The id as a child process sees it after unshare(flags); "" if it may not.
std::string IdOfChild(int flags) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    if (flags != 0 && unshare(flags) != 0) _exit(0);
    const auto id = LocalHostId();
    if (id.ok()) {
      const ssize_t written = write(ends[1], id->data(), id->size());
      _exit(written == static_cast<ssize_t>(id->size()) ? 0 : 1);
    }
    _exit(1);
  }
  close(ends[1]);
  std::string id;
  char buffer[256];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    id.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return id;
}

TEST(HostIdTest, IsTheSameForProcessesOfAHost) {
  const auto id = LocalHostId();
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(IdOfChild(0), *id);
}

TEST(HostIdTest, AnotherNetworkNamespaceIsAnotherHost) {
  const std::string other = IdOfChild(CLONE_NEWNET);
  if (other.empty()) GTEST_SKIP() << "may not make a network namespace";
  EXPECT_NE(other, *LocalHostId());
}

}  // namespace
}  // namespace blockserve
