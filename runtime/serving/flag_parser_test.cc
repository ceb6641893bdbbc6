#include "runtime/serving/flag_parser.h"

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(int, test_count, 1, "how many");
ABSL_FLAG(std::string, test_name, "a", "which");
ABSL_FLAG(bool, test_switch, true, "whether");

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FlagParserTest : public ::testing::Test {
 private:
  absl::FlagSaver saver_;
};

TEST_F(FlagParserTest, SetsFlagsInEveryForm) {
  const auto rest = ParseFlags({"--test_count=3", "x", "--test_name", "b=c",
                                "--notest_switch", "--", "--test_count=4"});
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_THAT(*rest, ElementsAre("x", "--test_count=4"));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 3);
  EXPECT_EQ(absl::GetFlag(FLAGS_test_name), "b=c");
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_switch));
  EXPECT_THAT(*ParseFlags({"--test_switch", "--test_name="}), IsEmpty());
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_switch));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_name), "");
}

TEST_F(FlagParserTest, NamesWhatIsWrong) {
  const auto error = [](const std::vector<std::string>& args) {
    const auto rest = ParseFlags(args);
    EXPECT_EQ(rest.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(rest.status().message());
  };
  EXPECT_THAT(error({"--test_cuont=3"}), HasSubstr("--test_cuont"));
  EXPECT_THAT(error({"--notest_count"}), HasSubstr("--notest_count"));
  EXPECT_THAT(error({"--test_count=x"}), HasSubstr("\"x\" for --test_count"));
  EXPECT_THAT(error({"--test_count"}), HasSubstr("needs a value (how many)"));
  EXPECT_THAT(error({"-p", "3"}), HasSubstr("\"-p\""));
  EXPECT_THAT(error({"--"
                     "=3"}),
              HasSubstr("unknown flag"));
}

}  // namespace
}  // namespace blockserve
