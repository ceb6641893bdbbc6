#include "kernels/cuda/best.h"
#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/gumbel.h"
#include "kernels/cuda/kept_ids.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/sampling.h"

namespace blockserve::cuda {
namespace {

// The vocabulary of a row is one CTA's work.
constexpr unsigned kMaxThreads = 384;
// On a multiprocessor at once: 80 registers a thread are enough to spill none.
constexpr unsigned kCtasPerMultiprocessor = 2;
constexpr int kIdsPerThread = 4;

// Probabilities are summed as integers; 50304 of them stay below 2^56.
constexpr float kProbabilityUnit = 0x1p40f;

// The sampling of one row, by a CTA. All threads come to the same decisions.
class RowSampler {
 public:
  __device__ RowSampler(const SampleProblem& problem, int row)
      : problem_(problem),
        row_(reinterpret_cast<const DeviceSampleRow*>(
            problem.rows + 1)[problem.first_row + row]),
        history_(List<DeviceTokenCount>(problem.rows->history)),
        bias_ids_(List<int32_t>(problem.rows->bias_ids)),
        bias_values_(List<float>(problem.rows->bias_values)),
        banned_ids_(List<int32_t>(problem.rows->banned_ids)),
        vocab_size_(problem.vocab_size),
        logits_(problem.logits + static_cast<int64_t>(row) * vocab_size_),
        changed_(problem.changed + static_cast<int64_t>(row) * vocab_size_),
        cell_(static_cast<int64_t>(row) * problem.tokens_per_step +
              problem.offset),
        block_(problem.tokens + cell_ - problem.offset) {}

  __device__ void Run() {
    const bool draws = problem_.offset >= row_.num_forced;
    const Best largest = Scan(logits_);
    int32_t token = draws ? kNone : block_[problem_.offset];
    const bool is_bad = is_broken_ || !largest.exists();
    if (draws && !is_broken_) {
      token = HasChanges() ? PickChanged() : Pick(logits_, largest);
    }
    // Every thread has read the column if it was given.
    __syncthreads();
    if (draws && threadIdx.x == 0) block_[problem_.offset] = token;
    if (row_.num_logprobs >= 0) Report(token, largest, is_bad);
  }

 private:
  static constexpr int32_t kNone = -1;

  // What lies `offset` bytes behind the beginning of the rows.
  template <typename T>
  __device__ const T* List(uint32_t offset) const {
    return reinterpret_cast<const T*>(
        reinterpret_cast<const unsigned char*>(problem_.rows) + offset);
  }

  __device__ int32_t FirstId() const {
    return static_cast<int32_t>(threadIdx.x);
  }
  __device__ int32_t IdStep() const { return static_cast<int32_t>(blockDim.x); }

  // The largest; is_broken_ says whether there is NaN or +infinity.
  __device__ Best Scan(const float* logits) {
    Best best;
    bool is_broken = false;
    for (int32_t id = FirstId(); id < vocab_size_; id += IdStep()) {
      const float logit = logits[id];
      // So written that NaN is broken.
      is_broken |= !(logit < INFINITY);
      best.Offer(logit, id);
    }
    is_broken_ = __syncthreads_or(is_broken) != 0;
    return CtaBest(best);
  }

  // --- changes of logits
  // ------------------------------------------------------
  __device__ bool HasPenalties() const {
    return row_.repetition_penalty != 1.0f || row_.frequency_penalty != 0.0f ||
           row_.presence_penalty != 0.0f;
  }
  __device__ bool HasBans() const {
    return row_.banned_begin < row_.banned_end &&
           problem_.offset < row_.ban_until_offset;
  }
  __device__ bool HasChanges() const {
    const bool has_counts =
        row_.history_begin < row_.history_end || problem_.offset > 0;
    return row_.bias_begin < row_.bias_end || HasBans() ||
           (HasPenalties() && has_counts);
  }

  __device__ int32_t PickChanged() {
    for (int32_t id = FirstId(); id < vocab_size_; id += IdStep()) {
      changed_[id] = logits_[id];
    }
    __syncthreads();
    AddBias();
    __syncthreads();
    if (HasPenalties()) {
      PenalizeHistory();
      PenalizeNewTokens();
    }
    __syncthreads();
    if (HasBans()) {
      for (int i = row_.banned_begin + FirstId(); i < row_.banned_end;
           i += IdStep()) {
        changed_[banned_ids_[i]] = -INFINITY;
      }
    }
    __syncthreads();
    const Best largest = Scan(changed_);
    return is_broken_ ? kNone : Pick(changed_, largest);
  }

  // The first entry of an id adds those of all, in order.
  __device__ void AddBias() const {
    const int32_t* const ids = bias_ids_;
    for (int i = row_.bias_begin + FirstId(); i < row_.bias_end;
         i += IdStep()) {
      bool is_first = true;
      for (int k = row_.bias_begin; k < i; ++k) is_first &= ids[k] != ids[i];
      if (!is_first) continue;
      for (int k = i; k < row_.bias_end; ++k) {
        if (ids[k] == ids[i]) changed_[ids[i]] += bias_values_[k];
      }
    }
  }

  // Times `id` is among the tokens of this block so far.
  __device__ int CountInBlock(int32_t id) const {
    int count = 0;
    for (int i = 0; i < problem_.offset; ++i) count += block_[i] == id ? 1 : 0;
    return count;
  }

  __device__ void Penalize(int32_t id, int output_count) const {
    float logit = changed_[id];
    logit = logit > 0.0f ? logit / row_.repetition_penalty
                         : logit * row_.repetition_penalty;
    if (output_count > 0) {
      // Rounded as on the host, not fused.
      logit -=
          __fmul_rn(row_.frequency_penalty, static_cast<float>(output_count));
      logit -= row_.presence_penalty;
    }
    changed_[id] = logit;
  }

  __device__ void PenalizeHistory() const {
    for (int i = row_.history_begin + FirstId(); i < row_.history_end;
         i += IdStep()) {
      const DeviceTokenCount& count = history_[i];
      const int output_count = count.output_count + CountInBlock(count.id);
      if (count.in_prompt != 0 || output_count > 0) {
        Penalize(count.id, output_count);
      }
    }
  }

  // Tokens of this block that the history does not have, each once.
  __device__ void PenalizeNewTokens() const {
    for (int i = FirstId(); i < problem_.offset; i += IdStep()) {
      const int32_t id = block_[i];
      bool is_new = id >= 0;
      for (int k = 0; k < i; ++k) is_new &= block_[k] != id;
      for (int k = row_.history_begin; k < row_.history_end; ++k) {
        is_new &= history_[k].id != id;
      }
      if (is_new) Penalize(id, CountInBlock(id));
    }
  }

  // --- picking
  // ----------------------------------------------------------------
  __device__ int32_t Pick(const float* logits, const Best& largest) const {
    if (!largest.exists() || row_.temperature <= 0.0f) return largest.id;
    const KeptIds kept = KeepMostLikely(logits, largest);
    Best best;
    const int32_t num_groups = (vocab_size_ + 3) / 4;
    for (int32_t group = FirstId(); group < num_groups; group += IdStep()) {
      const RandomWords random = SamplingWords(
          row_.seed, row_.position + static_cast<uint64_t>(problem_.offset),
          static_cast<uint32_t>(group));
      for (int i = 0; i < 4; ++i) {
        const int32_t id = group * 4 + i;
        if (id >= vocab_size_ || !kept.Has(logits[id], id)) continue;
        const float scaled = Scaled(logits[id], largest);
        if (id != largest.id && expf(scaled) < row_.min_p) continue;
        best.Offer(scaled + GumbelFromWord(random.words[i]), id);
      }
    }
    return CtaBest(best).id;
  }

  // Differences to the largest logit, so that no temperature overflows.
  __device__ float Scaled(float logit, const Best& largest) const {
    return (logit - largest.value) / row_.temperature;
  }

  __device__ KeptIds KeepMostLikely(const float* logits,
                                    const Best& largest) const {
    KeptIds kept;
    if (row_.top_k > 0) {
      kept.KeepFirst(logits, vocab_size_, static_cast<uint64_t>(row_.top_k),
                     [](float) { return uint64_t{1}; });
    }
    if (row_.top_p < 1.0f) {
      const auto weight_of = [&](float logit) {
        return static_cast<uint64_t>(expf(Scaled(logit, largest)) *
                                     kProbabilityUnit);
      };
      uint64_t sum = 0;
      for (int32_t id = FirstId(); id < vocab_size_; id += IdStep()) {
        if (kept.Has(logits[id], id)) sum += weight_of(logits[id]);
      }
      const double share = ceil(static_cast<double>(row_.top_p) *
                                static_cast<double>(CtaSum(sum)));
      kept.KeepFirst(logits, vocab_size_,
                     share < 1.0 ? 1 : static_cast<uint64_t>(share), weight_of);
    }
    return kept;
  }

  // --- log-probabilities
  // ------------------------------------------------------
  __device__ void Report(int32_t token, const Best& largest,
                         bool is_bad) const {
    double sum = 0.0;
    if (!is_bad) {
      for (int32_t id = FirstId(); id < vocab_size_; id += IdStep()) {
        sum += static_cast<double>(expf(logits_[id] - largest.value));
      }
      sum = CtaSum(sum);
    }
    const double log_sum = static_cast<double>(largest.value) + log(sum);
    const auto logprob_of = [&](float logit) {
      return static_cast<float>(static_cast<double>(logit) - log_sum);
    };
    if (threadIdx.x == 0) {
      problem_.logprobs[cell_] =
          is_bad || token < 0 ? NAN : logprob_of(logits_[token]);
    }
    Best last;
    for (int i = 0; i < row_.num_logprobs; ++i) {
      if (!is_bad) last = NextLikely(last, /*is_first=*/i == 0);
      if (threadIdx.x != 0) continue;
      const int64_t cell = cell_ * kMaxAlternatives + i;
      problem_.top_ids[cell] = last.id;
      problem_.top_logprobs[cell] = is_bad          ? NAN
                                    : last.exists() ? logprob_of(last.value)
                                                    : -INFINITY;
    }
  }

  // The first one behind `last` in a list sorted by logit and id.
  __device__ Best NextLikely(const Best& last, bool is_first) const {
    Best best;
    if (!is_first && !last.exists()) return best;
    for (int32_t id = FirstId(); id < vocab_size_; id += IdStep()) {
      const float logit = logits_[id];
      if (is_first || logit < last.value ||
          (logit == last.value && id > last.id)) {
        best.Offer(logit, id);
      }
    }
    return CtaBest(best);
  }

  const SampleProblem& problem_;
  const DeviceSampleRow& row_;
  const DeviceTokenCount* const history_;
  const int32_t* const bias_ids_;
  const float* const bias_values_;
  const int32_t* const banned_ids_;
  const int32_t vocab_size_;
  const float* const logits_;  // as projected
  float* const changed_;
  const int64_t cell_;  // of the token, among all
  int32_t* const block_;
  bool is_broken_ = false;
};

// One CTA for each row.
__global__ void __launch_bounds__(kMaxThreads, kCtasPerMultiprocessor)
    SampleKernel(SampleProblem problem) {
  RowSampler(problem, static_cast<int>(blockIdx.x)).Run();
}

}  // namespace

cudaError_t LaunchSample(const SampleProblem& problem, cudaStream_t stream) {
  if (problem.num_rows == 0) return cudaSuccess;
  LaunchConfig config;
  config.name = "sample";
  config.grid = dim3(static_cast<unsigned>(problem.num_rows));
  config.cta =
      dim3(ThreadsFor(problem.vocab_size / kIdsPerThread, kMaxThreads));
  config.stream = stream;
  return LaunchKernel(SampleKernel, config, problem);
}

}  // namespace blockserve::cuda
