#include "router/worker_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(WorkerListTest, ReadsAListOfAddresses) {
  EXPECT_THAT(*ParseWorkerList("a:1,10.0.0.1:50,[::1]:2"),
              ElementsAre("a:1", "10.0.0.1:50", "[::1]:2"));
}

TEST(WorkerListTest, NamesABadAddress) {
  for (const char* bad : {"nonsense", "a:0", ":1", "a:99999", "a:1,", ""}) {
    const auto list = ParseWorkerList(bad);
    ASSERT_FALSE(list.ok()) << bad;
    EXPECT_THAT(list.status().message(), HasSubstr("HOST:PORT expected, got"));
  }
}

TEST(WorkerListTest, FileMayHaveCommentsBlankLinesAndNoWorkers) {
  EXPECT_THAT(*ParseWorkerFile("# ours\n\na:1  # the first\r\n\t b:2\n"),
              ElementsAre("a:1", "b:2"));
  EXPECT_THAT(*ParseWorkerFile(""), IsEmpty());
  EXPECT_THAT(*ParseWorkerFile("# none yet\n"), IsEmpty());
}

TEST(WorkerListTest, NamesEveryBadLineOfAFile) {
  const auto workers = ParseWorkerFile("a:1\nb\nc:3\nd:0\x01\n");
  ASSERT_FALSE(workers.ok());
  EXPECT_EQ(workers.status().message(),
            "line 2: HOST:PORT expected, got \"b\"; "
            "line 4: HOST:PORT expected, got \"d:0\\x01\"");
}

TEST(WorkerListTest, NamesTenBadLinesAtMost) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "bad\n";
  const auto workers = ParseWorkerFile(text);
  EXPECT_THAT(workers.status().message(), HasSubstr("line 10:"));
  EXPECT_THAT(workers.status().message(), Not(HasSubstr("line 11:")));
}

TEST(WorkerListTest, BoundsTheNumberOfWorkers) {
  std::string text;
  for (int i = 0; i <= kMaxWorkers; ++i)
    absl::StrAppend(&text, "h:", i + 1, "\n");
  EXPECT_THAT(ParseWorkerFile(text).status().message(),
              HasSubstr("at most 1024 workers expected, got 1025"));
}

}  // namespace
}  // namespace blockserve
