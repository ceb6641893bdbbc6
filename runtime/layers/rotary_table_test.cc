#include "runtime/layers/rotary_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/reference/reference_ops.h"

namespace blockserve {
namespace {

TEST(RotaryTableTest, HoldsCosinesThenSines) {
  const auto ops = CreateReferenceOps(DType::kFloat32);
  ScratchAllocator scratch(*ops);
  const auto table = RotaryTable::Create(/*num_positions=*/5, /*rotary_dim=*/4,
                                         /*base=*/100.0f, scratch);
  ASSERT_TRUE(table.ok()) << table.status();
  const float* values = table->view().as<float>();
  for (int position = 0; position < 5; ++position) {
    const float* row = values + position * 4;
    // Frequencies 100^0 and 100^-0.5.
    EXPECT_NEAR(row[0], std::cos(1.0 * position), 1e-6);
    EXPECT_NEAR(row[1], std::cos(0.1 * position), 1e-6);
    EXPECT_NEAR(row[2], std::sin(1.0 * position), 1e-6);
    EXPECT_NEAR(row[3], std::sin(0.1 * position), 1e-6);
  }
}

TEST(RotaryTableTest, IsEmptyWithoutRotation) {
  const auto ops = CreateReferenceOps(DType::kFloat32);
  ScratchAllocator scratch(*ops);
  const auto table = RotaryTable::Create(5, /*rotary_dim=*/0, 100.0f, scratch);
  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(table->view().empty());
  EXPECT_EQ(scratch.num_bytes(), 0u);
}

}  // namespace
}  // namespace blockserve
