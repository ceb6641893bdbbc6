#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/key_tiles.h"
#include "kernels/cuda/page.h"
#include "kernels/cuda/piece.h"
#include "kernels/cuda/prefill_attention.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/row_tile.h"

namespace blockserve::cuda {
namespace {

constexpr int kStages = 2;

__device__ __forceinline__ uint32_t PackBFloat16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return static_cast<uint32_t>(__bfloat16_as_ushort(pair.x)) |
         static_cast<uint32_t>(__bfloat16_as_ushort(pair.y)) << 16;
}

// Maximum and sum over the four lanes that have a row of a fragment.
__device__ __forceinline__ float QuadMax(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}
__device__ __forceinline__ float QuadSum(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

// 16 rows of queries, a warp's work. Fragments are those of mma.m16n8k16: lane
// l has of rows l / 4 and l / 4 + 8 the columns 2 (l % 4) and the next, of each
// 8 columns.
template <int kHeadDim>
class WarpPrefill {
 public:
  using Tiles = KeyTiles<kHeadDim>;
  static constexpr int kDimSteps = kHeadDim / 16;
  static constexpr int kKeySteps = Tiles::kKeysPerTile / 16;

  __device__ WarpPrefill(const PagedAttentionProblem& problem,
                         const RowTile& tile, int head)
      : problem_(problem), head_(head) {
    const int first = tile.row_begin + WarpOfCta() * kRowsPerWarp + Lane() / 4;
    for (int half = 0; half < 2; ++half) {
      const int row = first + half * 8;
      row_[half] = row < tile.row_end ? row : -1;
      begin_[half] = row_[half] >= 0 ? problem.key_begin[row] : 0;
      end_[half] = row_[half] >= 0 ? problem.key_end[row] : 0;
    }
    warp_end_ = WarpMaxOf(end_[0] > end_[1] ? end_[0] : end_[1]);
    LoadQueries();
  }

  // Keys from this one on are seen by no row.
  __device__ int warp_end() const { return warp_end_; }

  // Takes in the keys from `first_key` on that lie in `tiles`.
  __device__ void Attend(const Tiles& tiles, int slot, int first_key) {
    float scores[2 * kKeySteps][4];
    UNROLLED
    for (int step = 0; step < kKeySteps; ++step) {
      Multiply(tiles, slot, step, scores[2 * step], scores[2 * step + 1]);
    }
    UNROLLED
    for (int i = 0; i < 2 * kKeySteps; ++i) {
      UNROLLED
      for (int k = 0; k < 4; ++k) {
        const int key = first_key + i * 8 + Lane() % 4 * 2 + k % 2;
        const bool is_visible = key >= begin_[k / 2] && key < end_[k / 2];
        scores[i][k] = is_visible ? scores[i][k] * problem_.scale : -INFINITY;
      }
    }
    Weigh(scores);
    UNROLLED
    for (int step = 0; step < kKeySteps; ++step) {
      const uint32_t weights[4] = {
          PackBFloat16(scores[2 * step][0], scores[2 * step][1]),
          PackBFloat16(scores[2 * step][2], scores[2 * step][3]),
          PackBFloat16(scores[2 * step + 1][0], scores[2 * step + 1][1]),
          PackBFloat16(scores[2 * step + 1][2], scores[2 * step + 1][3])};
      AddValues(tiles, slot, step, weights);
    }
  }

  __device__ void Write() const {
    for (int half = 0; half < 2; ++half) {
      const float sum = QuadSum(weight_sum_[half]);
      if (row_[half] < 0) continue;
      const float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
      const int64_t vector =
          static_cast<int64_t>(row_[half]) * problem_.num_heads + head_;
      auto* const output = static_cast<uint32_t*>(problem_.output) +
                           vector * (kHeadDim / 2) + Lane() % 4;
      UNROLLED
      for (int i = 0; i < 2 * kDimSteps; ++i) {
        output[i * 4] = PackBFloat16(sums_[i][2 * half] * factor,
                                     sums_[i][2 * half + 1] * factor);
      }
    }
  }

 private:
  __device__ static int WarpMaxOf(int value) {
    return static_cast<int>(
        __reduce_max_sync(kAllLanes, static_cast<unsigned>(value)));
  }

  // Rows that are not there are zero.
  __device__ void LoadQueries() {
    for (int half = 0; half < 2; ++half) {
      const int64_t row = row_[half] < 0 ? 0 : row_[half];
      const auto* const query =
          static_cast<const uint32_t*>(problem_.qkv) +
          (row * problem_.num_heads + head_) * 3 * (kHeadDim / 2) + Lane() % 4;
      UNROLLED
      for (int step = 0; step < kDimSteps; ++step) {
        queries_[step][half] = row_[half] < 0 ? 0 : query[step * 8];
        queries_[step][2 + half] = row_[half] < 0 ? 0 : query[step * 8 + 4];
      }
    }
  }

  // Products of all queries with 16 keys: 8 of them each.
  __device__ void Multiply(const Tiles& tiles, int slot, int step,
                           float (&low)[4], float (&high)[4]) const {
    UNROLLED
    for (int k = 0; k < 4; ++k) low[k] = high[k] = 0.0f;
    UNROLLED
    for (int dims = 0; dims < kDimSteps; ++dims) {
      // Matrices: keys 0-7 and then 8-15, of dims 0-7 and 8-15 each.
      uint32_t keys[4];
      LoadMatrices<false>(
          keys,
          tiles.At(slot, Tiles::kKeys, step * 16 + Lane() / 16 * 8 + Lane() % 8,
                   dims * 2 + Lane() / 8 % 2));
      MmaBFloat16(low, queries_[dims], {keys[0], keys[1]}, low);
      MmaBFloat16(high, queries_[dims], {keys[2], keys[3]}, high);
    }
  }

  // Turns scores into weights, and scales what was summed to their maximum.
  __device__ void Weigh(float (&scores)[2 * kKeySteps][4]) {
    UNROLLED
    for (int half = 0; half < 2; ++half) {
      float max = max_[half];
      UNROLLED
      for (int i = 0; i < 2 * kKeySteps; ++i) {
        max = fmaxf(max, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
      }
      max = QuadMax(max);
      const float finite = max == -INFINITY ? 0.0f : max;
      const float factor = expf(max_[half] - finite);
      max_[half] = max;
      weight_sum_[half] *= factor;
      UNROLLED
      for (int i = 0; i < 2 * kDimSteps; ++i) {
        sums_[i][2 * half] *= factor;
        sums_[i][2 * half + 1] *= factor;
      }
      UNROLLED
      for (int i = 0; i < 2 * kKeySteps; ++i) {
        UNROLLED
        for (int k = 2 * half; k < 2 * half + 2; ++k) {
          scores[i][k] = expf(scores[i][k] - finite);
          weight_sum_[half] += scores[i][k];
        }
      }
    }
  }

  // Adds 16 keys' weighted values.
  __device__ void AddValues(const Tiles& tiles, int slot, int step,
                            const uint32_t (&weights)[4]) {
    UNROLLED
    for (int dims = 0; dims < kDimSteps; ++dims) {
      // Matrices, turned: dims 0-7 and then 8-15, of keys 0-7 and 8-15 each.
      uint32_t values[4];
      LoadMatrices<true>(values,
                         tiles.At(slot, Tiles::kValues, step * 16 + Lane() % 16,
                                  dims * 2 + Lane() / 16));
      MmaBFloat16(sums_[2 * dims], weights, {values[0], values[1]},
                  sums_[2 * dims]);
      MmaBFloat16(sums_[2 * dims + 1], weights, {values[2], values[3]},
                  sums_[2 * dims + 1]);
    }
  }

  const PagedAttentionProblem& problem_;
  int head_;
  int row_[2];  // -1: none
  int begin_[2];
  int end_[2];
  int warp_end_;
  uint32_t queries_[kDimSteps][4];
  float sums_[2 * kDimSteps][4] = {};
  float max_[2] = {-INFINITY, -INFINITY};
  float weight_sum_[2] = {};  // of this lane's columns
};

// One CTA for each tile of rows and each head. Dynamic shared memory: two tiles
// of keys and values.
template <int kHeadDim>
__global__ void __launch_bounds__(kRowTileThreads)
    PrefillAttentionKernel(PagedAttentionProblem problem) {
  DYNAMIC_SHARED(uint4, pieces);
  SHARED_ARRAY(int, key_ranges, 2 * kRowsPerTile);
  using Tiles = KeyTiles<kHeadDim>;
  const int head = static_cast<int>(blockIdx.y);
  const RowTile tile(problem, static_cast<int>(blockIdx.x), key_ranges);
  if (tile.row_begin >= tile.row_end) return;
  const Tiles tiles(problem, tile, head, pieces);
  WarpPrefill<kHeadDim> prefill(problem, tile, head);

  const int first = tile.key_begin / Tiles::kKeysPerTile;
  const int end =
      (tile.key_end + Tiles::kKeysPerTile - 1) / Tiles::kKeysPerTile;
  if (first < end) tiles.Fetch(first, 0);
  CommitCopies();
  for (int i = first; i < end; ++i) {
    const int slot = (i - first) % kStages;
    if (i + 1 < end) tiles.Fetch(i + 1, 1 - slot);
    CommitCopies();
    AwaitCopies<1>();
    __syncthreads();
    const int first_key = i * Tiles::kKeysPerTile;
    if (first_key < prefill.warp_end()) {
      prefill.Attend(tiles, slot, first_key);
    }
    __syncthreads();  // all are done with the slot that comes next
  }
  AwaitCopies<0>();
  prefill.Write();
}

template <int kHeadDim>
cudaError_t Launch(const PagedAttentionProblem& problem, cudaStream_t stream) {
  LaunchConfig config;
  config.name = "prefill_attention";
  config.grid = dim3(static_cast<unsigned>(MaxRowTiles(problem)),
                     static_cast<unsigned>(problem.num_heads));
  config.cta = dim3(kRowTileThreads);
  config.dynamic_shared_bytes =
      kPieceBytes * kStages * KeyTiles<kHeadDim>::kPiecesPerSlot;
  config.stream = stream;
  return LaunchKernel(PrefillAttentionKernel<kHeadDim>, config, problem);
}

}  // namespace

bool HasPrefillAttention(int head_dim) {
  return head_dim == 32 || head_dim == 64 || head_dim == 128;
}

cudaError_t LaunchPrefillAttention(const PagedAttentionProblem& problem,
                                   cudaStream_t stream) {
  if (problem.num_rows == 0 || problem.num_heads == 0) return cudaSuccess;
  switch (problem.head_dim) {
    case 32:
      return Launch<32>(problem, stream);
    case 64:
      return Launch<64>(problem, stream);
    case 128:
      return Launch<128>(problem, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace blockserve::cuda
