// Peaks of the host's CPU, which programs without oneDNN do not measure.
#include "kernels/profile/machine_peaks.h"

namespace blockserve {
namespace {

absl::Status NotMeasured() {
  return absl::UnimplementedError("this program measures no peaks of the CPU");
}

}  // namespace

absl::StatusOr<double> MeasureGemmPeak(DType, int) { return NotMeasured(); }

absl::StatusOr<ReadBandwidthMeter> ReadBandwidthMeter::Create(size_t, int) {
  return NotMeasured();
}
ReadBandwidthMeter::ReadBandwidthMeter(ReadBandwidthMeter&& other) noexcept
    : ReadBandwidthMeter(other.memory_, other.num_bytes_, other.num_threads_) {}
ReadBandwidthMeter::~ReadBandwidthMeter() = default;
double ReadBandwidthMeter::Measure() const { return 0; }

}  // namespace blockserve
