// That something is measured; how much depends on the machine.
#include "kernels/profile/machine_peaks.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

TEST(MachinePeaksTest, AGemmHasAPeak) {
  const auto peak = MeasureGemmPeak(DType::kFloat32, 1);
  ASSERT_TRUE(peak.ok()) << peak.status();
  // From a sanitizer on a busy core to a large machine.
  EXPECT_GT(*peak, 1e6);
  EXPECT_LT(*peak, 1e16);
}

TEST(MachinePeaksTest, MemoryHasABandwidth) {
  auto meter = ReadBandwidthMeter::Create(size_t{16} << 20, 2);
  ASSERT_TRUE(meter.ok()) << meter.status();
  EXPECT_GT(meter->Measure(), 1e6);
  EXPECT_LT(meter->Measure(), 1e14);
}

TEST(MachinePeaksTest, MemoryThatIsNotThereIsAnError) {
  EXPECT_EQ(ReadBandwidthMeter::Create(size_t{1} << 62, 1).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace blockserve
