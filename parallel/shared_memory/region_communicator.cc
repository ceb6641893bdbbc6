#include "parallel/shared_memory/region_communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "parallel/host/rank_order_sum.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Memory that all ranks together may read once more to save a second wait,
// which costs as much as reading it or, without a core to spare, far more.
constexpr size_t kRereadBytes = 64 << 10;

// The floats of an AllReduce that `rank` adds up: whole cache lines, so that no
// two ranks write to one.
ShardRange LinesOf(int64_t count, int rank, int size) {
  constexpr int64_t kLine = 64 / sizeof(float);
  const ShardRange lines = Deal((count + kLine - 1) / kLine, rank, size);
  return {std::min(lines.begin * kLine, count),
          std::min(lines.end * kLine, count)};
}

void CopyFloats(const float* from, ShardRange range, float* to) {
  std::memcpy(to + range.begin, from + range.begin,
              static_cast<size_t>(range.size()) * sizeof(float));
}

float* Floats(std::byte* area) { return reinterpret_cast<float*>(area); }

}  // namespace

RegionCommunicator::RegionCommunicator(std::string_view name, int rank,
                                       const Region& region,
                                       std::shared_ptr<void> memory,
                                       const CommunicatorLimits& limits)
    : HostCommunicator(name, rank, region.size(), limits),
      memory_(std::move(memory)),
      gate_(region, rank, limits.timeout, SpinFor(region.size())) {}

absl::Status RegionCommunicator::RunAllReduce(absl::Span<float> data) {
  const size_t reread_bytes =
      data.size() * sizeof(float) * static_cast<size_t>(size() - 2);
  return reread_bytes <= kRereadBytes ? AllReduceAtOnce(data)
                                      : AllReduceBySlices(data);
}

// Every rank adds up everything.
absl::Status RegionCommunicator::AllReduceAtOnce(absl::Span<float> data) {
  const ShardRange all = {0, static_cast<int64_t>(data.size())};
  CopyFloats(data.data(), all, Floats(gate_.area(rank())));
  RETURN_IF_ERROR(
      gate_.Pass({CollectiveOp::kAllReduce, 0, data.size() * sizeof(float)}));
  SumSlice(data.data(), all, data.data());
  gate_.NextRound();
  return absl::OkStatus();
}

// Every rank adds up its slice, then all copy the sums.
absl::Status RegionCommunicator::AllReduceBySlices(absl::Span<float> data) {
  const auto count = static_cast<int64_t>(data.size());
  const CallCode call = {CollectiveOp::kAllReduce, 0,
                         data.size() * sizeof(float)};
  const ShardRange own = LinesOf(count, rank(), size());
  float* const terms = Floats(gate_.area(rank()));
  CopyFloats(data.data(), {0, own.begin}, terms);
  CopyFloats(data.data(), {own.end, count}, terms);
  RETURN_IF_ERROR(gate_.Pass(call));
  SumSlice(data.data(), own, data.data() + own.begin);
  gate_.NextRound();

  CopyFloats(data.data(), own, Floats(gate_.area(rank())));
  RETURN_IF_ERROR(gate_.Pass(call));
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    CopyFloats(Floats(gate_.area(peer)), LinesOf(count, peer, size()),
               data.data());
  }
  gate_.NextRound();
  return absl::OkStatus();
}

absl::Status RegionCommunicator::RunReduceScatter(float* data, int64_t num_rows,
                                                  int64_t row_length) {
  const int64_t count = num_rows * row_length;
  const ShardRange rows = RowsOf(num_rows, rank(), size());
  const ShardRange own = {rows.begin * row_length, rows.end * row_length};
  float* const terms = Floats(gate_.area(rank()));
  CopyFloats(data, {0, own.begin}, terms);
  CopyFloats(data, {own.end, count}, terms);
  RETURN_IF_ERROR(gate_.Pass({CollectiveOp::kReduceScatter, 0,
                              static_cast<size_t>(count) * sizeof(float)}));
  SumSlice(data, own, data + own.begin);
  gate_.NextRound();
  return absl::OkStatus();
}

void RegionCommunicator::SumSlice(const float* data, ShardRange slice,
                                  float* output) const {
  std::array<const float*, kMaxRegionRanks> terms;
  for (int peer = 0; peer < size(); ++peer) {
    terms[peer] =
        (peer == rank() ? data : Floats(gate_.area(peer))) + slice.begin;
  }
  RankOrderSum(absl::MakeSpan(terms.data(), static_cast<size_t>(size())),
               slice.size(), output);
}

absl::Status RegionCommunicator::RunAllGather(
    absl::Span<const GatheredArray> arrays, int64_t num_rows) {
  size_t row_bytes = 0;
  for (const GatheredArray& array : arrays) row_bytes += array.row_bytes;
  CopyRowsOf(rank(), arrays, num_rows, /*into_area=*/true);
  RETURN_IF_ERROR(gate_.Pass({CollectiveOp::kAllGather, 0,
                              row_bytes * static_cast<size_t>(num_rows)}));
  for (int peer = 0; peer < size(); ++peer) {
    if (peer != rank()) CopyRowsOf(peer, arrays, num_rows, false);
  }
  gate_.NextRound();
  return absl::OkStatus();
}

// A rank's rows of all arrays lie in its area one array after the other.
void RegionCommunicator::CopyRowsOf(int peer,
                                    absl::Span<const GatheredArray> arrays,
                                    int64_t num_rows, bool into_area) const {
  const ShardRange rows = RowsOf(num_rows, peer, size());
  std::byte* packed = gate_.area(peer);
  for (const GatheredArray& array : arrays) {
    std::byte* const own =
        array.data + static_cast<size_t>(rows.begin) * array.row_bytes;
    const size_t num_bytes = static_cast<size_t>(rows.size()) * array.row_bytes;
    std::memcpy(into_area ? packed : own, into_area ? own : packed, num_bytes);
    packed += num_bytes;
  }
}

absl::Status RegionCommunicator::RunBroadcast(absl::Span<std::byte> data,
                                              int root) {
  if (rank() == root) {
    std::memcpy(gate_.area(root), data.data(), data.size());
  }
  RETURN_IF_ERROR(gate_.Pass({CollectiveOp::kBroadcast, root, data.size()}));
  if (rank() != root) {
    std::memcpy(data.data(), gate_.area(root), data.size());
  }
  gate_.NextRound();
  return absl::OkStatus();
}

absl::Status RegionCommunicator::RunBarrier() {
  RETURN_IF_ERROR(gate_.Pass({CollectiveOp::kBarrier, 0, 0}));
  gate_.NextRound();
  return absl::OkStatus();
}

void RegionCommunicator::Interrupt() { gate_.Break(); }

}  // namespace blockserve
