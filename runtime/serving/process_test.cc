#include "runtime/serving/process.h"

#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "absl/flags/flag.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(int, process_test_count, 1, "how many");

namespace blockserve {
namespace {

using ::testing::ExitedWithCode;
using ::testing::HasSubstr;

void Init(std::vector<std::string> args) {
  std::vector<char*> argv = {const_cast<char*>("bin/some_server")};
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  int argc = static_cast<int>(args.size()) + 1;
  char** pointer = argv.data();
  InitServerProcess(&argc, &pointer, "Serves.");
}

// Exits 0 if the flag was set and the rest left.
void ParseThree() {
  std::string name = "x";
  std::string flag = "--process_test_count=7";
  std::string other = "other";
  char* argv[] = {name.data(), flag.data(), other.data(), nullptr};
  int argc = 3;
  char** pointer = argv;
  InitServerProcess(&argc, &pointer, "");
  const bool ok = argc == 2 && pointer[1] == other &&
                  absl::GetFlag(FLAGS_process_test_count) == 7;
  exit(ok ? 0 : 1);
}

TEST(ExitCodeTest, TellsBadInputFromABusyPort) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeFor(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::NotFoundError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::DataLossError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("")), 3);
}

// Each case runs in a process of its own, since Init is for once.
class ProcessDeathTest : public ::testing::Test {
 protected:
  ProcessDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ProcessDeathTest, RefusesAnUnknownFlag) {
  EXPECT_EXIT(Init({"--no_such_flag=1"}), ExitedWithCode(2),
              "^some_server: unknown flag --no_such_flag");
}

TEST_F(ProcessDeathTest, RefusesABadValue) {
  EXPECT_EXIT(Init({"--process_test_count=many"}), ExitedWithCode(2),
              "^some_server: bad value \"many\" for --process_test_count");
}

TEST_F(ProcessDeathTest, PrintsHelp) {
  EXPECT_EXIT(
      {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        Init({"--help"});
      },
      ExitedWithCode(0), "Serves.\n\nFlags, with");
}

TEST_F(ProcessDeathTest, LeavesOtherArguments) {
  EXPECT_EXIT(ParseThree(), ExitedWithCode(0), "");
}

TEST_F(ProcessDeathTest, TakesASignalOnAnyThread) {
  EXPECT_EXIT(
      {
        // Started before: gets the signal with no mask of ours.
        int stop[2];
        if (pipe(stop) != 0) exit(1);
        std::thread early([&] {
          char byte = 0;
          if (read(stop[0], &byte, 1) != 0) exit(1);
        });
        Init({});
        if (WaitForShutdownSignal(absl::ZeroDuration())) exit(1);
        if (WaitForShutdownSignal(absl::Milliseconds(1))) exit(1);
        pthread_kill(early.native_handle(), SIGTERM);
        if (!WaitForShutdownSignal()) exit(1);
        // Known from now on.
        if (!WaitForShutdownSignal(absl::ZeroDuration())) exit(1);
        close(stop[1]);
        early.join();
        LOG(INFO) << "event=seen";
        exit(0);
      },
      ExitedWithCode(0), "event=seen");
}

TEST_F(ProcessDeathTest, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        Init({});
        kill(getpid(), SIGTERM);
        WaitForShutdownSignal();
        kill(getpid(), SIGINT);
        pause();
      },
      ExitedWithCode(128 + SIGINT), "");
}

TEST_F(ProcessDeathTest, ReportsAFailureInOneLine) {
  EXPECT_EXIT(
      {
        Init({});
        exit(ReportFailure(absl::NotFoundError("no file\nhere")));
      },
      ExitedWithCode(2), "^some_server: no file; here\n$");
}

}  // namespace
}  // namespace blockserve
