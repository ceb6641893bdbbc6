// What this machine can do at best: the two peaks that a share of the roofline
// is measured against. Independent of our own kernels on purpose.
#ifndef BLOCKSERVE_KERNELS_PROFILE_MACHINE_PEAKS_H_
#define BLOCKSERVE_KERNELS_PROFILE_MACHINE_PEAKS_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "kernels/api/dtype.h"

namespace blockserve {

// oneDNN's product of [256, 768] and a packed weight [3072, 768] that stays in
// the cache, on `num_threads` OpenMP threads: the best of some runs, in FLOP
// per second. INVALID_ARGUMENT for a dtype that oneDNN has no product of here.
absl::StatusOr<double> MeasureGemmPeak(DType dtype, int num_threads);

// A plain read of memory by threads side by side.
class ReadBandwidthMeter {
 public:
  // Takes `num_bytes` and writes to them, so that they are there. Much more
  // than the caches hold: 2 GiB by the protocol. RESOURCE_EXHAUSTED without
  // them.
  static absl::StatusOr<ReadBandwidthMeter> Create(size_t num_bytes,
                                                   int num_threads);
  ReadBandwidthMeter(ReadBandwidthMeter&& other) noexcept;
  ~ReadBandwidthMeter();

  // Reads all of it once; bytes per second.
  double Measure() const;

 private:
  ReadBandwidthMeter(void* memory, size_t num_bytes, int num_threads)
      : memory_(memory), num_bytes_(num_bytes), num_threads_(num_threads) {}

  void* memory_;
  size_t num_bytes_;
  int num_threads_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_PROFILE_MACHINE_PEAKS_H_
