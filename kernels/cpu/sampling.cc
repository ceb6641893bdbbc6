#include "kernels/cpu/sampling.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/cpu/parallel_for.h"

namespace blockserve::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

bool HasPenalties(const SampleRow& row) {
  return row.repetition_penalty != 1.0f || row.frequency_penalty != 0.0f ||
         row.presence_penalty != 0.0f;
}

bool ChangesLogits(const SampleRow& row, int offset) {
  return !row.bias_ids.empty() || HasPenalties(row) ||
         (offset < row.ban_until_offset && !row.banned_ids.empty());
}

int CountOf(int32_t id, absl::Span<const int32_t> block) {
  return static_cast<int>(std::count(block.begin(), block.end(), id));
}

void Penalize(const SampleRow& row, int output_count, float& logit) {
  logit = logit > 0.0f ? logit / row.repetition_penalty
                       : logit * row.repetition_penalty;
  if (output_count > 0) {
    logit -= row.frequency_penalty * static_cast<float>(output_count);
    logit -= row.presence_penalty;
  }
}

void ApplyPenalties(const SampleRow& row, absl::Span<const int32_t> block,
                    absl::Span<float> logits) {
  for (const TokenCount& count : row.history) {
    const int output_count = count.output_count + CountOf(count.id, block);
    if (!count.in_prompt && output_count == 0) continue;
    Penalize(row, output_count, logits[count.id]);
  }
  // Tokens that appear in this block for the first time, each once.
  for (size_t i = 0; i < block.size(); ++i) {
    const int32_t id = block[i];
    const bool in_history =
        std::any_of(row.history.begin(), row.history.end(),
                    [id](const TokenCount& count) { return count.id == id; });
    if (id < 0 || in_history || CountOf(id, block.first(i)) > 0) continue;
    Penalize(row, CountOf(id, block), logits[id]);
  }
}

double ShareOf(TokenKey key, const Share& share) {
  return std::exp((static_cast<double>(LogitOf(key)) - share.largest) /
                  share.temperature);
}

double SumOfShares(absl::Span<const TokenKey> keys, const Share& share) {
  double sum = 0.0;
  for (TokenKey key : keys) sum += ShareOf(key, share);
  return sum;
}

// The last key of the smallest set of best keys whose shares sum to at least
// `needed`. Halves by halves, so that a flat distribution need not be sorted.
TokenKey LastKeyOfMass(absl::Span<TokenKey> keys, double needed,
                       const Share& share) {
  constexpr ptrdiff_t kSortedAtOnce = 64;
  TokenKey* begin = keys.data();
  TokenKey* end = begin + keys.size();
  while (end - begin > kSortedAtOnce) {
    TokenKey* middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end);
    const double mass =
        SumOfShares({begin, static_cast<size_t>(middle - begin)}, share);
    if (mass >= needed) {
      end = middle;
    } else {
      needed -= mass;
      begin = middle;
    }
  }
  std::sort(begin, end);
  double mass = 0.0;
  for (const TokenKey* key = begin; key < end; ++key) {
    mass += ShareOf(*key, share);
    if (mass >= needed) return *key;
  }
  return end[-1];
}

}  // namespace

bool NeedsLogits(const SampleRow& row, int offset) {
  return offset >= row.num_forced || row.num_logprobs >= 0;
}

bool NeedsLargestOnly(const SampleRow& row, int offset) {
  return offset >= row.num_forced && row.num_logprobs < 0 &&
         !(row.temperature > 0.0f) && !ChangesLogits(row, offset);
}

void TakeLargest(absl::Span<const LargestLogit> largest,
                 const SampleArgs& args) {
  auto* const tokens = args.tokens.as<int32_t>();
  for (size_t i = 0; i < largest.size(); ++i) {
    if (!NeedsLargestOnly(args.rows[i], args.offset)) continue;
    tokens[i * args.tokens.dim(1) + args.offset] =
        largest[i].valid ? largest[i].id : kInvalidToken;
  }
}

void RowSampler::Reserve(int64_t vocab_size) {
  if (static_cast<int64_t>(changed_.size()) >= vocab_size) return;
  changed_.resize(vocab_size);
  keys_.resize(vocab_size + kKeySlack);
  masses_.resize(MassBuckets::kCount);
}

void RowSampler::PickAndReport(absl::Span<const float> logits,
                               const SampleArgs& args, int64_t row) {
  const SampleRow& sampling = args.rows[row];
  if (!NeedsLogits(sampling, args.offset)) return;
  int32_t* block = args.tokens.as<int32_t>() + row * args.tokens.dim(1);
  const LargestLogit largest = FindLargest(logits);
  if (args.offset >= sampling.num_forced) {
    int32_t token = kInvalidToken;
    if (largest.valid) {
      if (ChangesLogits(sampling, args.offset)) {
        const absl::Span<const float> changed =
            ChangedLogits(logits, sampling, args.offset,
                          {block, static_cast<size_t>(args.offset)});
        token = Pick(changed, FindLargest(changed), sampling, args.offset);
      } else {
        token = Pick(logits, largest, sampling, args.offset);
      }
    }
    block[args.offset] = token;
  }
  if (sampling.num_logprobs >= 0) {
    Report(logits, largest, args, row, block[args.offset]);
  }
}

absl::Span<const float> RowSampler::ChangedLogits(
    absl::Span<const float> logits, const SampleRow& row, int offset,
    absl::Span<const int32_t> block) {
  const absl::Span<float> changed(changed_.data(), logits.size());
  std::copy(logits.begin(), logits.end(), changed.begin());
  for (size_t i = 0; i < row.bias_ids.size(); ++i) {
    changed[row.bias_ids[i]] += row.bias_values[i];
  }
  if (HasPenalties(row)) ApplyPenalties(row, block, changed);
  if (offset < row.ban_until_offset) {
    for (int32_t id : row.banned_ids) changed[id] = -kInfinity;
  }
  return changed;
}

int32_t RowSampler::Pick(absl::Span<const float> logits,
                         const LargestLogit& largest, const SampleRow& row,
                         int offset) {
  if (!largest.valid || largest.id < 0) return kInvalidToken;
  if (!(row.temperature > 0.0f)) return largest.id;
  Draw draw;
  draw.share = {.largest = largest.logit, .temperature = row.temperature};
  draw.largest_id = largest.id;
  draw.seed = row.seed;
  draw.position = row.position + offset;
  if (row.top_k > 0 || row.top_p < 1.0f || row.min_p > 0.0f) {
    const TokenKey last = LastKept(logits, draw.share, row);
    draw.last_logit = LogitOf(last);
    draw.last_id = IdOf(last);
  }
  return DrawToken(logits, draw);
}

TokenKey RowSampler::LastKept(absl::Span<const float> logits,
                              const Share& share, const SampleRow& row) {
  TokenKey last = KeyOf(-kInfinity, std::numeric_limits<int32_t>::max());
  const bool limits_k =
      row.top_k > 0 && row.top_k < static_cast<int64_t>(logits.size());
  if (limits_k) {
    const int64_t num_kept = CollectBest(logits, row.top_k, keys_.data());
    const absl::Span<TokenKey> kept(keys_.data(), num_kept);
    last =
        row.top_p < 1.0f
            ? LastKeyOfMass(kept, row.top_p * SumOfShares(kept, share), share)
            : *std::max_element(kept.begin(), kept.end());
  } else if (row.top_p < 1.0f) {
    last = LastOfTopP(logits, share, std::max(row.top_p, 0.0f));
  }
  if (row.min_p > 0.0f) {
    // Of equal logits min_p keeps all or none. The largest always stays.
    const double least = share.largest + row.temperature * std::log(row.min_p);
    const TokenKey last_of_min_p =
        KeyOf(std::min(static_cast<float>(least), share.largest),
              std::numeric_limits<int32_t>::max());
    last = std::min(last, last_of_min_p);
  }
  return last;
}

TokenKey RowSampler::LastOfTopP(absl::Span<const float> logits,
                                const Share& share, float top_p) {
  const double total = SumOfShares(logits, share);
  // Tokens below this share do not sum to 1 - top_p, all together (nor to half
  // of it, for rounding): they go to the last bucket, which is not looked at.
  const double least =
      total * (1.0 - top_p) / (2.0 * static_cast<double>(logits.size()));
  const MassBuckets buckets = {
      .share = share,
      .width =
          static_cast<float>(-std::log(least) / (MassBuckets::kCount - 1))};
  std::fill(masses_.begin(), masses_.end(), 0.0);
  AddMasses(logits, buckets, masses_.data());
  // The bucket in which the sum gets there; by rounding it may be the last
  // that holds anything.
  const double needed = top_p * total;
  int last_bucket = 0;
  double sum_before = 0.0;
  double sum = 0.0;
  for (int bucket = 0; bucket < MassBuckets::kCount - 1; ++bucket) {
    if (masses_[bucket] == 0.0) continue;
    last_bucket = bucket;
    sum_before = sum;
    sum += masses_[bucket];
    if (sum >= needed) break;
  }
  const int64_t num_found =
      CollectBucket(logits, buckets, last_bucket, keys_.data());
  return LastKeyOfMass({keys_.data(), static_cast<size_t>(num_found)},
                       needed - sum_before, share);
}

void RowSampler::Report(absl::Span<const float> logits,
                        const LargestLogit& largest, const SampleArgs& args,
                        int64_t row, int32_t token) {
  CHECK_LT(token, static_cast<int64_t>(logits.size())) << "forced token";
  const bool bad = !largest.valid || largest.id < 0;
  const double log_sum =
      bad ? kNaN
          : largest.logit +
                std::log(SumOfShares(logits, Share{.largest = largest.logit}));
  const int64_t i = row * args.tokens.dim(1) + args.offset;
  args.logprobs.as<float>()[i] =
      bad || token < 0 ? kNaN : static_cast<float>(logits[token] - log_sum);

  const int64_t num_wanted = args.rows[row].num_logprobs;
  if (num_wanted == 0) return;
  const int64_t num_found =
      bad ? 0 : CollectBest(logits, num_wanted, keys_.data());
  std::sort(keys_.data(), keys_.data() + num_found);
  int32_t* ids = args.top_ids.as<int32_t>() + i * kMaxLogprobs;
  float* logprobs = args.top_logprobs.as<float>() + i * kMaxLogprobs;
  for (int64_t k = 0; k < num_wanted; ++k) {
    const bool exists = k < num_found;
    ids[k] = exists ? IdOf(keys_[k]) : kInvalidToken;
    logprobs[k] = exists ? static_cast<float>(LogitOf(keys_[k]) - log_sum)
                         : (bad ? kNaN : -kInfinity);
  }
}

void Sampler::Reserve(int64_t vocab_size) {
  for (RowSampler& row_sampler : row_samplers_) row_sampler.Reserve(vocab_size);
}

void Sampler::Sample(const TensorView& logits, const SampleArgs& args,
                     int64_t row_begin) {
  const int64_t vocab_size = logits.dim(1);
  Reserve(vocab_size);
  ParallelForDynamic(static_cast<int>(row_samplers_.size()), logits.dim(0),
                     vocab_size, [&](int64_t begin, int64_t end, int thread) {
                       for (int64_t i = begin; i < end; ++i) {
                         row_samplers_[thread].PickAndReport(
                             {logits.as<float>() + i * vocab_size,
                              static_cast<size_t>(vocab_size)},
                             args, row_begin + i);
                       }
                     });
}

}  // namespace blockserve::cpu
