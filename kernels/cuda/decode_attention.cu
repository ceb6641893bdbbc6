#include <type_traits>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/decode_attention.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/page.h"
#include "kernels/cuda/piece.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/sequence_of_row.h"

namespace blockserve::cuda {
namespace {

// Warps of a CTA, and CTAs of a row and head, take the keys in turn.
constexpr int kWarpsPerCta = 4;
// Keys in flight to a warp while it works on one stage: two stages of 4 KB hide
// the way from memory with a few warps on a multiprocessor, and a CTA stays
// within the 48 KB that need not be asked for.
constexpr int kStages = 3;
constexpr int kMaxKeyBytesPerStage = 2048;

// How the lanes of a warp are dealt to keys: each has a piece of 16 bytes of a
// key, and the same piece of its value.
template <typename T, int kHeadDim>
struct Deal {
  static constexpr int kElements = kElementsPerPiece<T>;
  static constexpr int kLanesPerKey = kHeadDim / kElements;
  static constexpr int kKeysPerPass = kWarpSize / kLanesPerKey;
  static constexpr int kKeyBytes = kHeadDim * static_cast<int>(sizeof(T));
  static constexpr int kKeysPerStage =
      kKeysPerPage * kKeyBytes <= kMaxKeyBytesPerStage
          ? kKeysPerPage
          : kMaxKeyBytesPerStage / kKeyBytes;
  static constexpr int kPasses = kKeysPerStage / kKeysPerPass;
  static constexpr int kPiecesPerStage = 2 * kPasses * kWarpSize;
  static_assert(kPasses * kKeysPerPass == kKeysPerStage);
};

// What a softmax has summed so far of some dims. NaN in a score is not in the
// maximum, but in both sums.
template <int kDims>
struct PartialSoftmax {
  float max = -INFINITY;
  float weight_sum = 0.0f;
  float sums[kDims] = {};

  // A maximum to take exponentials from: without any score yet, any number.
  __device__ static float Finite(float max) {
    return max == -INFINITY ? 0.0f : max;
  }
  __device__ void ScaleTo(float larger_max) {
    const float factor = expf(max - Finite(larger_max));
    max = larger_max;
    weight_sum *= factor;
    UNROLLED
    for (int i = 0; i < kDims; ++i) sums[i] *= factor;
  }
  // Takes in what the lane `lane_mask` away has summed.
  __device__ void MergeWithLane(int lane_mask) {
    const float other_max = __shfl_xor_sync(kAllLanes, max, lane_mask);
    const float other_sum = __shfl_xor_sync(kAllLanes, weight_sum, lane_mask);
    const float larger = fmaxf(max, other_max);
    const float factor = expf(other_max - Finite(larger));
    float others[kDims];
    UNROLLED
    for (int i = 0; i < kDims; ++i) {
      others[i] = __shfl_xor_sync(kAllLanes, sums[i], lane_mask);
    }
    ScaleTo(larger);
    weight_sum += other_sum * factor;
    UNROLLED
    for (int i = 0; i < kDims; ++i) sums[i] += others[i] * factor;
  }
};

// One row and head, as one warp sees it.
template <typename T, int kHeadDim>
class WarpDecoder {
 public:
  using Layout = Deal<T, kHeadDim>;

  // stages: this warp's part of the shared memory
  __device__ WarpDecoder(const PagedAttentionProblem& problem, int row,
                         int head, uint4* stages)
      : problem_(problem),
        head_(head),
        begin_(problem.key_begin[row]),
        end_(problem.key_end[row]),
        stages_(stages) {
    const int sequence =
        SequenceOf(problem.query_offsets, problem.num_sequences, row);
    pages_ =
        problem.page_table + static_cast<int64_t>(sequence) * problem.max_pages;
    const int64_t vector = static_cast<int64_t>(row) * problem.num_heads + head;
    const T* const query =
        static_cast<const T*>(problem.qkv) + vector * 3 * kHeadDim;
    PieceToFloats(LoadPiece(query + FirstDim()), query_);
  }

  __device__ static int FirstDim() {
    return Lane() % Layout::kLanesPerKey * Layout::kElements;
  }

  // Stages of keys `first`, `first` + `stride`, ... of those that are visible.
  __device__ void Run(int first, int stride) {
    const int end_stage =
        begin_ < end_ ? (end_ - 1) / Layout::kKeysPerStage + 1 : 0;
    int stage = begin_ / Layout::kKeysPerStage + first;
    for (int i = 0; i < kStages - 1; ++i) {
      Fetch(stage + i * stride, end_stage, i);
    }
    for (int slot = 0; stage < end_stage; stage += stride) {
      const int ahead = slot == 0 ? kStages - 1 : slot - 1;
      Fetch(stage + (kStages - 1) * stride, end_stage, ahead);
      AwaitCopies<kStages - 1>();
      Attend(stage, slot);
      slot = slot == kStages - 1 ? 0 : slot + 1;
    }
    AwaitCopies<0>();
    // Lanes that have the same dims of different keys.
    for (int mask = Layout::kLanesPerKey; mask < kWarpSize; mask *= 2) {
      softmax_.MergeWithLane(mask);
    }
  }

  // part: [head_dim + 2], the sums, the maximum and the sum of weights
  __device__ void Write(float* part) const {
    if (Lane() < Layout::kLanesPerKey) {
      UNROLLED
      for (int i = 0; i < Layout::kElements; ++i) {
        part[FirstDim() + i] = softmax_.sums[i];
      }
    }
    if (Lane() == 0) {
      part[kHeadDim] = softmax_.max;
      part[kHeadDim + 1] = softmax_.weight_sum;
    }
  }

 private:
  __device__ static int KeyOf(int stage, int pass) {
    return stage * Layout::kKeysPerStage + pass * Layout::kKeysPerPass +
           Lane() / Layout::kLanesPerKey;
  }
  __device__ bool IsVisible(int key) const {
    return key >= begin_ && key < end_;
  }
  // Each lane reads what it has copied itself, so that no barrier is needed.
  __device__ uint4* PieceAt(int slot, int part, int pass) const {
    return stages_ + slot * Layout::kPiecesPerStage +
           (part * Layout::kPasses + pass) * kWarpSize + Lane();
  }

  __device__ void Fetch(int stage, int end_stage, int slot) {
    if (stage < end_stage) {
      const int page = pages_[stage * Layout::kKeysPerStage / kKeysPerPage];
      const PageOfHead<T> memory(problem_.cache, page, problem_.num_heads,
                                 head_, kHeadDim);
      UNROLLED
      for (int pass = 0; pass < Layout::kPasses; ++pass) {
        const int key = KeyOf(stage, pass);
        if (!IsVisible(key)) continue;
        const int offset = key % kKeysPerPage * kHeadDim + FirstDim();
        CopyAsync16(PieceAt(slot, 0, pass), memory.keys() + offset);
        CopyAsync16(PieceAt(slot, 1, pass), memory.values() + offset);
      }
    }
    CommitCopies();
  }

  __device__ float Product(uint4 key) const {
    float elements[Layout::kElements];
    PieceToFloats(key, elements);
    float product = 0.0f;
    UNROLLED
    for (int i = 0; i < Layout::kElements; ++i) {
      product += query_[i] * elements[i];
    }
    UNROLLED
    for (int mask = Layout::kLanesPerKey / 2; mask > 0; mask /= 2) {
      product += __shfl_xor_sync(kAllLanes, product, mask);
    }
    return product;
  }

  __device__ void Attend(int stage, int slot) {
    float scores[Layout::kPasses];
    float max = softmax_.max;
    UNROLLED
    for (int pass = 0; pass < Layout::kPasses; ++pass) {
      const float product = Product(*PieceAt(slot, 0, pass));
      scores[pass] =
          IsVisible(KeyOf(stage, pass)) ? product * problem_.scale : -INFINITY;
      max = fmaxf(max, scores[pass]);
    }
    softmax_.ScaleTo(max);
    UNROLLED
    for (int pass = 0; pass < Layout::kPasses; ++pass) {
      // What is not visible may hold anything.
      if (!IsVisible(KeyOf(stage, pass))) continue;
      const float weight = expf(scores[pass] - softmax_.Finite(max));
      float value[Layout::kElements];
      PieceToFloats(*PieceAt(slot, 1, pass), value);
      softmax_.weight_sum += weight;
      UNROLLED
      for (int i = 0; i < Layout::kElements; ++i) {
        softmax_.sums[i] += weight * value[i];
      }
    }
  }

  const PagedAttentionProblem& problem_;
  int head_;
  int begin_;
  int end_;
  uint4* stages_;
  const int32_t* pages_;
  float query_[Layout::kElements];
  PartialSoftmax<Layout::kElements> softmax_;
};

// One dim of what several have summed. `Load` reads element i of part k.
template <int kHeadDim, typename Load>
__device__ PartialSoftmax<1> MergeParts(int count, const Load& load) {
  const int dim = static_cast<int>(threadIdx.x);
  PartialSoftmax<1> merged;
  for (int k = 0; k < count; ++k)
    merged.max = fmaxf(merged.max, load(k, kHeadDim));
  for (int k = 0; k < count; ++k) {
    const float factor =
        expf(load(k, kHeadDim) - PartialSoftmax<1>::Finite(merged.max));
    merged.weight_sum += load(k, kHeadDim + 1) * factor;
    merged.sums[0] += load(k, dim) * factor;
  }
  return merged;
}

// One CTA for each row, head and split. Dynamic shared memory: the stages of
// each warp; in the end, over them, a part of each warp and the ticket.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kWarpsPerCta* kWarpSize)
    DecodeAttentionKernel(DecodeAttentionProblem problem) {
  DYNAMIC_SHARED(uint4, stages);
  using Layout = Deal<T, kHeadDim>;
  constexpr int kPart = kHeadDim + 2;
  static_assert(kHeadDim <= kWarpsPerCta * kWarpSize);
  const PagedAttentionProblem& attention = problem.attention;
  const int row = static_cast<int>(blockIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const int split = static_cast<int>(blockIdx.z);
  const int thread = static_cast<int>(threadIdx.x);
  WarpDecoder<T, kHeadDim> decoder(
      attention, row, head,
      stages + WarpOfCta() * kStages * Layout::kPiecesPerStage);
  decoder.Run(split * kWarpsPerCta + WarpOfCta(),
              problem.num_splits * kWarpsPerCta);

  float* const parts = reinterpret_cast<float*>(stages);
  __syncthreads();  // all are done with the stages
  decoder.Write(parts + WarpOfCta() * kPart);
  __syncthreads();
  const int64_t vector = static_cast<int64_t>(row) * attention.num_heads + head;
  PartialSoftmax<1> merged;
  if (thread < kHeadDim) {
    merged = MergeParts<kHeadDim>(
        kWarpsPerCta, [&](int k, int i) { return parts[k * kPart + i]; });
  }
  if (problem.num_splits > 1) {
    float* const row_parts =
        problem.parts + vector * problem.num_splits * kPart;
    float* const part = row_parts + split * kPart;
    if (thread < kHeadDim) part[thread] = merged.sums[0];
    if (thread == 0) {
      part[kHeadDim] = merged.max;
      part[kHeadDim + 1] = merged.weight_sum;
    }
    __syncthreads();
    int* const ticket = reinterpret_cast<int*>(parts);
    if (thread == 0) *ticket = AtomicAddAcqRel(problem.tickets + vector, 1);
    __syncthreads();
    if (*ticket != problem.num_splits - 1) return;
    if (thread == 0) problem.tickets[vector] = 0;  // for the next launch
    if (thread < kHeadDim) {
      merged = MergeParts<kHeadDim>(problem.num_splits, [&](int k, int i) {
        return row_parts[k * kPart + i];
      });
    }
  }
  if (thread >= kHeadDim) return;
  const float result =
      merged.weight_sum == 0.0f ? 0.0f : merged.sums[0] / merged.weight_sum;
  static_cast<T*>(attention.output)[vector * kHeadDim + thread] =
      FromFloat<T>(result);
}

template <typename T, int kHeadDim>
cudaError_t Launch(const DecodeAttentionProblem& problem, cudaStream_t stream) {
  const PagedAttentionProblem& attention = problem.attention;
  LaunchConfig config;
  config.name = "decode_attention";
  config.grid = dim3(static_cast<unsigned>(attention.num_rows),
                     static_cast<unsigned>(attention.num_heads),
                     static_cast<unsigned>(problem.num_splits));
  config.cta = dim3(kWarpsPerCta * kWarpSize);
  config.dynamic_shared_bytes =
      kPieceBytes * kWarpsPerCta * kStages * Deal<T, kHeadDim>::kPiecesPerStage;
  config.stream = stream;
  return LaunchKernel(DecodeAttentionKernel<T, kHeadDim>, config, problem);
}

}  // namespace

bool HasDecodeAttention(int head_dim) {
  return head_dim == 32 || head_dim == 64 || head_dim == 128;
}

int MaxDecodeSplits(int max_pages) {
  return (max_pages + kWarpsPerCta - 1) / kWarpsPerCta;
}

cudaError_t LaunchDecodeAttention(const DecodeAttentionProblem& problem,
                                  DType dtype, cudaStream_t stream) {
  if (problem.attention.num_rows == 0 || problem.attention.num_heads == 0) {
    return cudaSuccess;
  }
  return WithElement(dtype, [&](auto element) {
    using T = decltype(element);
    switch (problem.attention.head_dim) {
      case 32:
        return Launch<T, 32>(problem, stream);
      case 64:
        return Launch<T, 64>(problem, stream);
      case 128:
        return Launch<T, 128>(problem, stream);
      default:
        return cudaErrorInvalidValue;
    }
  });
}

}  // namespace blockserve::cuda
