#include "runtime/base/status_macros.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

absl::StatusOr<std::unique_ptr<int>> MakeInt(bool ok) {
  if (!ok) return absl::NotFoundError("no int");
  return std::make_unique<int>(7);
}

absl::StatusOr<int> ReadInt(bool ok) {
  ASSIGN_OR_RETURN(std::unique_ptr<int> value, MakeInt(ok));
  return *value;
}

absl::Status CheckInt(bool ok) {
  RETURN_IF_ERROR(ReadInt(ok).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, PassesTheValueOn) { EXPECT_EQ(*ReadInt(true), 7); }

TEST(StatusMacrosTest, ReturnsTheFirstError) {
  EXPECT_EQ(ReadInt(false).status(), absl::NotFoundError("no int"));
  EXPECT_EQ(CheckInt(false), absl::NotFoundError("no int"));
  EXPECT_TRUE(CheckInt(true).ok());
}

}  // namespace
}  // namespace blockserve
