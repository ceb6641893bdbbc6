#include "runtime/layers/step_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/reference/reference_ops.h"

namespace blockserve {
namespace {

TEST(StepMetadataTest, BringsAllArraysToTheDevice) {
  const auto ops = CreateReferenceOps(DType::kFloat32);
  ScratchAllocator scratch(*ops);
  StepMetadata metadata;
  const auto ids = metadata.AddInt32(3);
  const auto mask = metadata.AddUint8(5);
  const auto none = metadata.AddInt32(0);
  const auto more = metadata.AddInt32(2);
  ASSERT_TRUE(metadata.Allocate(scratch).ok());

  std::fill_n(metadata.Int32(ids).begin(), 3, 7);
  std::fill_n(metadata.Uint8(mask).begin(), 5, uint8_t{1});
  std::fill_n(metadata.Int32(more).begin(), 2, -2);
  EXPECT_TRUE(metadata.Int32(none).empty());
  metadata.Upload(*ops);
  ASSERT_TRUE(ops->Synchronize().ok());

  const TensorView device_ids = metadata.DeviceInt32(ids, {3, 1});
  EXPECT_THAT(absl::MakeConstSpan(device_ids.as<int32_t>(), 3),
              ::testing::Each(7));
  EXPECT_THAT(
      absl::MakeConstSpan(metadata.DeviceUint8(mask, {5}).as<uint8_t>(), 5),
      ::testing::Each(1));
  EXPECT_THAT(
      absl::MakeConstSpan(metadata.DeviceInt32(more, {2}).as<int32_t>(), 2),
      ::testing::Each(-2));
  EXPECT_FALSE(metadata.DeviceInt32(none, {0}).empty());  // given, no elements
}

}  // namespace
}  // namespace blockserve
