#include "kernels/cpu/cpu_ops.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace blockserve {
namespace {

TEST(CpuOpsTest, DescribesTypeInstructionsAndThreads) {
  auto ops = CreateCpuOps(DType::kFloat32, /*num_threads=*/2);
  ASSERT_TRUE(ops.ok()) << ops.status();
  EXPECT_EQ((*ops)->name(), "cpu");
  const std::string description = (*ops)->Describe();
  EXPECT_EQ(description.find("cpu fp32: oneDNN "), 0u) << description;
  EXPECT_NE(description.find(", 2 threads"), std::string::npos) << description;
}

TEST(CpuOpsTest, RefusesOtherTypesAndNegativeThreads) {
  EXPECT_EQ(CreateCpuOps(DType::kFloat16, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CreateCpuOps(DType::kFloat32, -1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(CpuOpsTest, HasBf16WhereTheCpuHas) {
  if (!CpuHasBFloat16()) GTEST_SKIP() << "no bf16 on this CPU";
  auto ops = CreateCpuOps(DType::kBFloat16, 1);
  ASSERT_TRUE(ops.ok()) << ops.status();
  EXPECT_EQ((*ops)->dtype(), DType::kBFloat16);
}

TEST(CpuOpsTest, RefusesMoreMemoryThanThereIs) {
  auto ops = CreateCpuOps(DType::kFloat32, 1);
  ASSERT_TRUE(ops.ok());
  EXPECT_EQ((*ops)->Allocate(size_t{1} << 60).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace blockserve
