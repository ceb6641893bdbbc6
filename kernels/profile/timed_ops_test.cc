#include "kernels/profile/timed_ops.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/reference/reference_ops.h"

namespace blockserve {
namespace {

constexpr int kLinear = static_cast<int>(OpKind::kLinear);
constexpr int kOther = static_cast<int>(OpKind::kOther);

// A second passes whenever the time is asked for.
class TimedOpsTest : public ::testing::Test {
 protected:
  void RunLinear() {
    const std::vector<float> weight = {1, 2};
    const auto matrix = *ops_.PackMatrix(weight.data(), 1, 2);
    ops_.Linear({.input = input_.View(DType::kFloat32, {1, 2}),
                 .weight = matrix.get(),
                 .output = output_.View(DType::kFloat32, {1, 1})});
  }

  absl::Time now_ = absl::UnixEpoch();
  TimedOps ops_{CreateReferenceOps(DType::kFloat32),
                [this] { return now_ += absl::Seconds(1); }};
  Buffer input_ = *ops_.Allocate(2 * sizeof(float));
  Buffer output_ = *ops_.Allocate(sizeof(float));
};

TEST_F(TimedOpsTest, TimeGoesToThePartThatWasSet) {
  const std::vector<float> values = {3, 4};
  ops_.CopyToDevice(values.data(), input_.data(), 2 * sizeof(float));
  ops_.SetPart(2);
  RunLinear();
  RunLinear();
  EXPECT_EQ(ops_.times()[0][kOther].num_calls, 1);
  EXPECT_EQ(ops_.times()[0][kOther].time, absl::Seconds(1));
  EXPECT_EQ(ops_.times()[0][kLinear].num_calls, 0);
  EXPECT_EQ(ops_.times()[2][kLinear].num_calls, 2);
  EXPECT_EQ(ops_.times()[2][kLinear].time, absl::Seconds(2));
}

TEST_F(TimedOpsTest, TheWorkIsDone) {
  const std::vector<float> values = {3, 4};
  ops_.CopyToDevice(values.data(), input_.data(), 2 * sizeof(float));
  RunLinear();
  float result = 0;
  ops_.CopyToHost(output_.data(), &result, sizeof(float));
  ASSERT_TRUE(ops_.Synchronize().ok());
  EXPECT_EQ(result, 3 * 1 + 4 * 2);
}

TEST_F(TimedOpsTest, ResetForgets) {
  RunLinear();
  ops_.Reset();
  EXPECT_EQ(ops_.times()[0][kLinear].num_calls, 0);
  EXPECT_EQ(ops_.times()[0][kLinear].time, absl::ZeroDuration());
}

}  // namespace
}  // namespace blockserve
