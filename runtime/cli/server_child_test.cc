#include "runtime/cli/server_child.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/serving/port_file.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

constexpr int kFreePort = 4711;
constexpr int kWasAsked = 1;
constexpr int kWasTold = 2;

// Stands in for a server: "chooses" kFreePort, tells by its metrics_port
// whether it could choose, and waits for a signal.
int RunFakeServer(int argc, char** argv) {
  int port = -1;
  std::string port_file;
  for (int i = 1; i < argc; ++i) {
    absl::string_view flag = argv[i];
    int code = 0;
    if (absl::ConsumePrefix(&flag, "--fake_exit=") &&
        absl::SimpleAtoi(flag, &code)) {
      std::cerr << "first words\nlast words" << std::endl;
      return code;
    }
    if (absl::ConsumePrefix(&flag, "--port_file="))
      port_file = std::string(flag);
    if (absl::ConsumePrefix(&flag, "--port=") && !absl::SimpleAtoi(flag, &port))
      return EXIT_FAILURE;
  }
  const bool was_asked = port == 0;
  const auto written = WritePortFile(
      port_file, {{"metrics_port", was_asked ? kWasAsked : kWasTold},
                  {"port", was_asked ? kFreePort : port}});
  if (!written.ok()) return EXIT_FAILURE;
  while (true) pause();
}

class ServerChildTest : public ::testing::Test {
 protected:
  static ServerChildOptions Options(std::vector<std::string> flags = {}) {
    ServerChildOptions options;
    options.name = "group 1 rank 0";
    options.binary = "/proc/self/exe";
    options.flags = std::move(flags);
    options.flags.push_back("--fake_server");
    options.ports = {{"metrics_port", 0}, {"port", 0}};
    options.port_file = ::testing::TempDir() + "/child.ports";
    options.log_file = ::testing::TempDir() + "/child.log";
    return options;
  }

  static void AwaitEnd(ServerChild& child) {
    while (child.is_running()) absl::SleepFor(absl::Milliseconds(1));
  }

  static void Kill(ServerChild& child) {
    child.Signal(SIGKILL);
    AwaitEnd(child);
  }

  static absl::Time InAMinute() { return absl::Now() + absl::Minutes(1); }
};

TEST_F(ServerChildTest, KeepsThePortsThatItChoseAtFirst) {
  ServerChild child(Options());
  ASSERT_TRUE(child.Launch().ok());
  ASSERT_TRUE(child.AwaitPorts(InAMinute()).ok());
  EXPECT_EQ(child.port("port"), kFreePort);
  EXPECT_EQ(child.port("metrics_port"), kWasAsked);
  Kill(child);
  ASSERT_TRUE(child.Launch().ok());
  ASSERT_TRUE(child.AwaitPorts(InAMinute()).ok());
  EXPECT_EQ(child.port("port"), kFreePort);
  EXPECT_EQ(child.port("metrics_port"), kWasTold);
}

TEST_F(ServerChildTest, StartsAgainAfterPausesThatGrow) {
  ServerChild child(Options());
  ASSERT_TRUE(child.Launch().ok());
  const absl::Time now = absl::Now();
  for (int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    Kill(child);
    const absl::Time due = now + absl::Seconds(seconds);
    ASSERT_TRUE(child.KeepRunning(now).ok());
    ASSERT_TRUE(child.KeepRunning(due - absl::Milliseconds(1)).ok());
    EXPECT_FALSE(child.is_running()) << seconds;
    ASSERT_TRUE(child.KeepRunning(due).ok());
    EXPECT_TRUE(child.is_running()) << seconds;
  }
  // After a long life the first pause is short again.
  Kill(child);
  const absl::Time later = absl::Now() + absl::Minutes(6);
  ASSERT_TRUE(child.KeepRunning(later).ok());
  ASSERT_TRUE(child.KeepRunning(later + absl::Seconds(1)).ok());
  EXPECT_TRUE(child.is_running());
}

TEST_F(ServerChildTest, LeavesAloneWhatRuns) {
  ServerChild child(Options());
  ASSERT_TRUE(child.Launch().ok());
  ASSERT_TRUE(child.AwaitPorts(InAMinute()).ok());
  ASSERT_TRUE(child.KeepRunning(absl::InfiniteFuture()).ok());
  EXPECT_TRUE(child.CheckRunning().ok());
  EXPECT_EQ(child.port("metrics_port"), kWasAsked);
}

TEST_F(ServerChildTest, TellsHowItEnded) {
  for (const auto& [code, expected] :
       {std::pair{1, absl::StatusCode::kInternal},
        std::pair{2, absl::StatusCode::kInvalidArgument},
        std::pair{3, absl::StatusCode::kUnavailable}}) {
    ServerChild child(Options({"--fake_exit=" + std::to_string(code)}));
    ASSERT_TRUE(child.Launch().ok());
    const absl::Status ended = child.AwaitPorts(InAMinute());
    EXPECT_EQ(ended.code(), expected) << ended;
    EXPECT_EQ(ended.message(), "group 1 rank 0 ended with exit code " +
                                   std::to_string(code) + ": last words");
  }
}

TEST_F(ServerChildTest, TellsOfASignalWithoutLastWords) {
  ServerChild child(Options());
  ASSERT_TRUE(child.Launch().ok());
  Kill(child);
  EXPECT_EQ(child.CheckRunning().message(),
            "group 1 rank 0 was ended by signal 9");
}

TEST_F(ServerChildTest, ABinaryThatCannotRunIsNoHang) {
  ServerChildOptions options = Options();
  options.binary = "/no/such/binary";
  ServerChild child(options);
  ASSERT_TRUE(child.Launch().ok());
  EXPECT_THAT(std::string(child.AwaitPorts(InAMinute()).message()),
              HasSubstr("exit code 127"));
}

TEST_F(ServerChildTest, GivesUpOnPortsAtTheDeadline) {
  ServerChildOptions options = Options();
  options.port_file = "/no/such/directory/child.ports";
  ServerChild child(options);
  ASSERT_TRUE(child.Launch().ok());
  EXPECT_EQ(child.AwaitPorts(absl::InfinitePast()).code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (absl::string_view(argv[i]) == "--fake_server") {
      return blockserve::RunFakeServer(argc, argv);
    }
  }
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
