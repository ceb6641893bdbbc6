#include "kernels/reference/rotary.h"

#include <gtest/gtest.h>

#include <vector>

namespace blockserve::reference {
namespace {

// Position 0 does not turn; position 1 turns the first pair by a right angle
// and the second by half a circle.
std::vector<float> table = {1, 1, 0, 0, 0, -1, 1, 0};
const TensorView rotary(table.data(), DType::kFloat32, {2, 4});

std::vector<float> Rotated(int32_t position, std::vector<float> vector) {
  const TensorView positions(&position, DType::kInt32, {1});
  Rotate(rotary, positions, 0, vector.data());
  return vector;
}

TEST(ReferenceRotaryTest, TurnsHalvesTogether) {
  EXPECT_EQ(Rotated(1, {1, 2, 3, 4, 5}),
            (std::vector<float>{-3, -2, 1, -4, 5}));
  EXPECT_EQ(Rotated(0, {1, 2, 3, 4, 5}), (std::vector<float>{1, 2, 3, 4, 5}));
}

TEST(ReferenceRotaryTest, LeavesAVectorWithoutATable) {
  std::vector<float> vector = {1, 2};
  Rotate(TensorView(), TensorView(), 0, vector.data());
  EXPECT_EQ(vector, (std::vector<float>{1, 2}));
}

}  // namespace
}  // namespace blockserve::reference
