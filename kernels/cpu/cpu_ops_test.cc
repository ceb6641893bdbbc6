#include "kernels/cpu/cpu_ops.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

ptrdiff_t NumTasks() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

// Whoever loads a model leaves no threads behind: together with the team of the
// thread that steps they would be more than there are cores.
TEST(CpuOpsTest, ReserveEndsTheTeamThatPackedTheWeights) {
  const ptrdiff_t before = NumTasks();
  auto ops = CreateCpuOps(DType::kFloat32, /*num_threads=*/2);
  ASSERT_TRUE(ops.ok());
  const std::vector<float> weights(size_t{512} * 512, 1.0f);
  auto matrix = (*ops)->PackMatrix(weights.data(), 512, 512);
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  ASSERT_GT(NumTasks(), before);
  const OpsLimits limits = {
      .max_rows = 4, .max_sample_rows = 4, .vocab_size = 512};
  ASSERT_TRUE((*ops)->Reserve(limits).ok());
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
  // A thread is listed until the kernel has cleared it away.
  while (NumTasks() > before && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(NumTasks(), before);
}

}  // namespace
}  // namespace blockserve
