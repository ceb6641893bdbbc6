// The row counts that matrix products are compiled for.
//
// A oneDNN primitive is made for one number of rows and takes about a
// millisecond to make, so a product of any height runs as a few primitives of
// these heights: whole tiles of kMaxBucketRows, then the smallest bucket that
// holds the rest. Steps are 16 rows and wider where the product is fast enough
// for the padding to cost less than another primitive.
#ifndef BLOCKSERVE_KERNELS_CPU_ROW_BUCKETS_H_
#define BLOCKSERVE_KERNELS_CPU_ROW_BUCKETS_H_

#include <algorithm>
#include <array>
#include <cstdint>

namespace blockserve::cpu {

inline constexpr std::array<int64_t, 18> kRowBuckets = {
    1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512};
inline constexpr int kNumRowBuckets = static_cast<int>(kRowBuckets.size());
inline constexpr int64_t kMaxBucketRows = kRowBuckets.back();

// The smallest bucket of at least `rows` rows, rows in [0, kMaxBucketRows].
constexpr int RowBucketOf(int64_t rows) {
  return static_cast<int>(
      std::lower_bound(kRowBuckets.begin(), kRowBuckets.end(), rows) -
      kRowBuckets.begin());
}

// The rows that a product of `rows` rows touches; grows with `rows`.
constexpr int64_t PadToRowBuckets(int64_t rows) {
  const int64_t rest = rows % kMaxBucketRows;
  if (rest == 0) return rows;
  return rows - rest + kRowBuckets[RowBucketOf(rest)];
}

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_ROW_BUCKETS_H_
