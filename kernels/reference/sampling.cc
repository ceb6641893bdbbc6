#include "kernels/reference/sampling.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "runtime/base/philox.h"

namespace blockserve::reference {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Nothing can be said about a row with such logits.
bool HoldsNanOrInfinity(absl::Span<const float> logits) {
  return std::any_of(logits.begin(), logits.end(), [](float logit) {
    return std::isnan(logit) || logit == kInfinity;
  });
}

// NaN where no logit is finite, or one is NaN or +infinity.
double LogSumExp(absl::Span<const float> logits) {
  if (HoldsNanOrInfinity(logits)) return kNaN;
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

// Times each id was generated before this token, the block's own included.
int OutputCount(int32_t id, int32_t count_before,
                absl::Span<const int32_t> block) {
  return count_before +
         static_cast<int>(std::count(block.begin(), block.end(), id));
}

float Penalize(const SampleRow& row, float logit, int output_count) {
  logit = logit > 0.0f ? logit / row.repetition_penalty
                       : logit * row.repetition_penalty;
  if (output_count > 0) {
    logit -= row.frequency_penalty * static_cast<float>(output_count);
    logit -= row.presence_penalty;
  }
  return logit;
}

double GumbelNoise(const SampleRow& row, int offset, int32_t id) {
  const auto words = SamplingWords(row.seed, row.position + offset,
                                   static_cast<uint32_t>(id) / 4);
  return GumbelFromWord(words[id % 4]);
}

}  // namespace

void Sampler::Reserve(int64_t vocab_size) {
  logits_.reserve(vocab_size);
  changed_.reserve(vocab_size);
  candidates_.reserve(vocab_size);
}

absl::Span<float> Sampler::logits(int64_t vocab_size) {
  logits_.resize(vocab_size);
  return absl::MakeSpan(logits_);
}

void Sampler::PickAndReport(const SampleArgs& args, int64_t row) {
  const SampleRow& sampling = args.rows[row];
  int32_t* block = args.tokens.as<int32_t>() + row * args.tokens.dim(1);
  if (args.offset >= sampling.num_forced) {
    int32_t token = kInvalidToken;
    if (!HoldsNanOrInfinity(logits_)) {
      ChangeLogits(sampling, args.offset,
                   {block, static_cast<size_t>(args.offset)});
      token = Pick(sampling, args.offset);
    }
    block[args.offset] = token;
  }
  if (sampling.num_logprobs >= 0) Report(args, row, block[args.offset]);
}

void Sampler::ChangeLogits(const SampleRow& row, int offset,
                           absl::Span<const int32_t> block) {
  changed_ = logits_;
  for (size_t i = 0; i < row.bias_ids.size(); ++i) {
    Changed(row.bias_ids[i]) += row.bias_values[i];
  }
  for (const TokenCount& count : row.history) {
    const int output_count = OutputCount(count.id, count.output_count, block);
    if (!count.in_prompt && output_count == 0) continue;
    Changed(count.id) = Penalize(row, Changed(count.id), output_count);
  }
  // Tokens that appear in this block for the first time, each once.
  for (size_t i = 0; i < block.size(); ++i) {
    const int32_t id = block[i];
    const bool in_history =
        std::any_of(row.history.begin(), row.history.end(),
                    [id](const TokenCount& count) { return count.id == id; });
    const bool earlier = std::count(block.begin(), block.begin() + i, id) > 0;
    if (id < 0 || in_history || earlier) continue;
    Changed(id) = Penalize(row, Changed(id), OutputCount(id, 0, block));
  }
  if (offset < row.ban_until_offset) {
    for (int32_t id : row.banned_ids) Changed(id) = -kInfinity;
  }
}

float& Sampler::Changed(int32_t id) {
  CHECK(id >= 0 && static_cast<size_t>(id) < changed_.size()) << "id " << id;
  return changed_[id];
}

int32_t Sampler::Pick(const SampleRow& row, int offset) {
  if (HoldsNanOrInfinity(changed_)) return kInvalidToken;
  FillCandidates(changed_);
  if (candidates_.empty()) return kInvalidToken;
  if (row.temperature > 0.0f) {
    KeepMostLikely(row);
    for (Candidate& candidate : candidates_) {
      candidate.logit += GumbelNoise(row, offset, candidate.id);
    }
  }
  return std::min_element(candidates_.begin(), candidates_.end(),
                          [](const Candidate& a, const Candidate& b) {
                            if (a.logit != b.logit) return a.logit > b.logit;
                            return a.id < b.id;
                          })
      ->id;
}

void Sampler::KeepMostLikely(const SampleRow& row) {
  // Differences to the largest logit, so that no temperature overflows.
  double largest = candidates_.front().logit;
  for (const Candidate& candidate : candidates_) {
    largest = std::max(largest, candidate.logit);
  }
  for (Candidate& candidate : candidates_) {
    candidate.logit = (candidate.logit - largest) / row.temperature;
  }
  const bool limits_k = row.top_k > 0;
  const bool limits_p = row.top_p < 1.0f;
  const bool limits_min = row.min_p > 0.0f;
  if (!limits_k && !limits_p && !limits_min) return;

  SortCandidates();
  if (limits_k && candidates_.size() > static_cast<size_t>(row.top_k)) {
    candidates_.resize(row.top_k);
  }
  if (limits_p) {
    double total = 0.0;
    for (const Candidate& candidate : candidates_) {
      total += std::exp(candidate.logit);
    }
    double sum = 0.0;
    size_t kept = 0;
    while (kept < candidates_.size() &&
           (kept == 0 || sum < row.top_p * total)) {
      sum += std::exp(candidates_[kept++].logit);
    }
    candidates_.resize(kept);
  }
  if (limits_min) {
    // exp(logit) is the probability as a share of the largest one.
    while (candidates_.size() > 1 &&
           std::exp(candidates_.back().logit) < row.min_p) {
      candidates_.pop_back();
    }
  }
}

void Sampler::Report(const SampleArgs& args, int64_t row, int32_t token) {
  const double log_sum_exp = LogSumExp(logits_);
  const bool bad = std::isnan(log_sum_exp);
  const int64_t i = row * args.tokens.dim(1) + args.offset;
  CHECK_LT(token, static_cast<int64_t>(logits_.size())) << "forced token";
  args.logprobs.as<float>()[i] =
      bad || token < 0 ? kNaN
                       : static_cast<float>(logits_[token] - log_sum_exp);

  const size_t num_wanted = args.rows[row].num_logprobs;
  if (num_wanted == 0) return;
  if (bad) {
    candidates_.clear();
  } else {
    FillCandidates(logits_);
    SortCandidates();
  }
  int32_t* ids = args.top_ids.as<int32_t>() + i * kMaxLogprobs;
  float* logprobs = args.top_logprobs.as<float>() + i * kMaxLogprobs;
  for (size_t k = 0; k < num_wanted; ++k) {
    const bool exists = k < candidates_.size();
    ids[k] = exists ? candidates_[k].id : kInvalidToken;
    logprobs[k] = exists
                      ? static_cast<float>(candidates_[k].logit - log_sum_exp)
                      : (bad ? kNaN : -kInfinity);
  }
}

void Sampler::FillCandidates(absl::Span<const float> logits) {
  candidates_.clear();
  for (size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] == -kInfinity) continue;
    candidates_.push_back({static_cast<int32_t>(id), logits[id]});
  }
}

void Sampler::SortCandidates() {
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) {
              if (a.logit != b.logit) return a.logit > b.logit;
              return a.id < b.id;
            });
}

}  // namespace blockserve::reference
