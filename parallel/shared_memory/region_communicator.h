// A communicator between ranks that share a Region: threads of a process, or
// processes of a host.
#ifndef BLOCKSERVE_PARALLEL_SHARED_MEMORY_REGION_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_SHARED_MEMORY_REGION_COMMUNICATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "parallel/api/communicator.h"
#include "parallel/api/shard.h"
#include "parallel/host/host_communicator.h"
#include "parallel/shared_memory/region.h"
#include "parallel/shared_memory/round_gate.h"

namespace blockserve {

// Every collective is one round of the region, an AllReduce two where that
// saves more memory traffic than it costs to wait again. Sums are in rank
// order. A peer that dies is seen by limits.timeout only, or by whoever calls
// Abort; one that aborts, fails or is destroyed lets its peers know at once.
class RegionCommunicator final : public HostCommunicator {
 public:
  // `memory` is what `region` is a view of; kept alive.
  RegionCommunicator(std::string_view name, int rank, const Region& region,
                     std::shared_ptr<void> memory,
                     const CommunicatorLimits& limits);

 private:
  absl::Status RunAllReduce(absl::Span<float> data) override;
  absl::Status RunReduceScatter(float* data, int64_t num_rows,
                                int64_t row_length) override;
  absl::Status RunAllGather(absl::Span<const GatheredArray> arrays,
                            int64_t num_rows) override;
  absl::Status RunBroadcast(absl::Span<std::byte> data, int root) override;
  absl::Status RunBarrier() override;
  void Interrupt() override;

  absl::Status AllReduceAtOnce(absl::Span<float> data);
  absl::Status AllReduceBySlices(absl::Span<float> data);
  // This rank's slice from all ranks' areas of the round; its own is in `data`.
  void SumSlice(const float* data, ShardRange slice, float* output) const;
  void CopyRowsOf(int rank, absl::Span<const GatheredArray> arrays,
                  int64_t num_rows, bool into_area) const;

  const std::shared_ptr<void> memory_;
  RoundGate gate_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_SHARED_MEMORY_REGION_COMMUNICATOR_H_
