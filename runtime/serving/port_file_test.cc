#include "runtime/serving/port_file.h"

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

std::string PathOf(const char* name) { return ::testing::TempDir() + name; }

TEST(PortFileTest, ReadsWhatWasWritten) {
  const std::string path = PathOf("ports");
  EXPECT_EQ(ReadPortFile(path).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WritePortFile(path, {{"port", 50051}, {"metrics_port", 9}}).ok());
  EXPECT_THAT(*ReadPortFile(path),
              ::testing::ElementsAre(::testing::Pair("metrics_port", 9),
                                     ::testing::Pair("port", 50051)));
}

TEST(PortFileTest, NamesAPathThatCannotBeWritten) {
  const absl::Status status = WritePortFile("/nowhere/ports", {{"port", 1}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("/nowhere/ports"));
}

TEST(PortFileTest, RefusesOtherFiles) {
  const std::string path = PathOf("no_ports");
  std::ofstream(path) << "hello\n";
  EXPECT_EQ(ReadPortFile(path).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace blockserve
