#include "runtime/model/step_tokens.h"

#include <algorithm>
#include <array>

#include "runtime/base/status_macros.h"

namespace blockserve {

StepTokens::StepTokens(const ModelLimits& limits, int tokens_per_step,
                       int vocab_size, const RankGroup& group,
                       const Observer& observer, StepMetadata& metadata,
                       Ops& ops)
    : tokens_per_step_(tokens_per_step),
      vocab_size_(vocab_size),
      group_(group),
      observer_(observer),
      metadata_(metadata),
      ops_(ops),
      forced_tokens_(metadata.AddInt32(int64_t{limits.max_rows_per_step} *
                                       tokens_per_step)) {
  const size_t num_tokens =
      static_cast<size_t>(limits.max_rows_per_step) * tokens_per_step;
  rows_.reserve(limits.max_rows_per_step);
  host_tokens_.resize(num_tokens);
  host_logprobs_.resize(num_tokens);
  host_top_ids_.resize(num_tokens * kMaxLogprobs);
  host_top_logprobs_.resize(num_tokens * kMaxLogprobs);
}

absl::StatusOr<std::unique_ptr<StepTokens>> StepTokens::Create(
    const ModelLimits& limits, int tokens_per_step, int vocab_size,
    const RankGroup& group, const Observer& observer, StepMetadata& metadata,
    ScratchAllocator& scratch) {
  std::unique_ptr<StepTokens> tokens(new StepTokens(limits, tokens_per_step,
                                                    vocab_size, group, observer,
                                                    metadata, scratch.ops()));
  const size_t num_tokens = tokens->host_tokens_.size();
  ASSIGN_OR_RETURN(tokens->logprobs_,
                   scratch.Allocate(num_tokens * sizeof(float)));
  ASSIGN_OR_RETURN(
      tokens->top_ids_,
      scratch.Allocate(num_tokens * kMaxLogprobs * sizeof(int32_t)));
  ASSIGN_OR_RETURN(tokens->top_logprobs_,
                   scratch.Allocate(num_tokens * kMaxLogprobs * sizeof(float)));
  if (observer.enabled()) {
    ASSIGN_OR_RETURN(tokens->logits_,
                     scratch.Allocate(sizeof(float) * limits.max_rows_per_step *
                                      vocab_size));
  }
  return tokens;
}

void StepTokens::Fill(absl::Span<const DecodeRow> rows) {
  num_all_rows_ = static_cast<int>(rows.size());
  own_ = group_.RowsOf(num_all_rows_);
  rows_.clear();
  wants_alternatives_ = false;
  const absl::Span<int32_t> tokens = metadata_.Int32(forced_tokens_);
  std::fill_n(tokens.begin(), rows.size() * tokens_per_step_, 0);
  for (int64_t i = 0; i < num_all_rows_; ++i) {
    const DecodeRow& row = rows[i];
    wants_alternatives_ |= row.sampling.num_logprobs > 0;
    if (i < own_.begin || i >= own_.end) continue;
    std::copy_n(row.forced_tokens.begin(), row.sampling.num_forced,
                tokens.begin() + i * tokens_per_step_);
    rows_.push_back(row.sampling);
  }
  ops_.SetSampleRows(rows_);
}

TensorView StepTokens::all_tokens() const {
  return metadata_.DeviceInt32(forced_tokens_,
                               {num_all_rows_, tokens_per_step_});
}
TensorView StepTokens::all_logprobs() const {
  return logprobs_.View(DType::kFloat32, {num_all_rows_, tokens_per_step_});
}
TensorView StepTokens::all_top_ids() const {
  return top_ids_.View(DType::kInt32,
                       {num_all_rows_, tokens_per_step_, kMaxLogprobs});
}
TensorView StepTokens::all_top_logprobs() const {
  return top_logprobs_.View(DType::kFloat32,
                            {num_all_rows_, tokens_per_step_, kMaxLogprobs});
}

TensorView StepTokens::tokens() const {
  return all_tokens().Rows(own_.begin, own_.end);
}

TensorView StepTokens::column(int offset) const {
  const int64_t num_tokens = int64_t{num_rows()} * tokens_per_step_;
  return tokens().Reshape({num_tokens}).Rows(offset, num_tokens);
}

void StepTokens::Sample(const TensorView& input, const Matrix& head,
                        int offset) {
  const int64_t num_rows = rows_.size();
  SampleArgs args;
  args.rows = rows_;
  args.rows_are_set = true;
  args.offset = offset;
  args.tokens = tokens();
  args.logprobs = all_logprobs().Rows(own_.begin, own_.end);
  args.top_ids = all_top_ids().Rows(own_.begin, own_.end);
  args.top_logprobs = all_top_logprobs().Rows(own_.begin, own_.end);
  if (observer_.enabled()) {
    args.logits = logits_.View(DType::kFloat32, {num_rows, vocab_size_});
  }
  ops_.SampleTokens(input, head, args);
  if (observer_.enabled()) observer_.Show("logits", args.logits);
}

void StepTokens::Exchange() {
  if (group_.is_alone()) return;
  const std::array<TensorView, 4> arrays = {all_tokens(), all_logprobs(),
                                            all_top_ids(), all_top_logprobs()};
  group_.communicator->AllGather(
      absl::MakeConstSpan(arrays).first(wants_alternatives_ ? 4 : 2));
}

void StepTokens::ReadBack() {
  const size_t num_tokens =
      static_cast<size_t>(num_all_rows_) * tokens_per_step_;
  ops_.CopyToHost(all_tokens().data(), host_tokens_.data(),
                  num_tokens * sizeof(int32_t));
  ops_.CopyToHost(logprobs_.data(), host_logprobs_.data(),
                  num_tokens * sizeof(float));
  if (!wants_alternatives_) return;
  ops_.CopyToHost(top_ids_.data(), host_top_ids_.data(),
                  num_tokens * kMaxLogprobs * sizeof(int32_t));
  ops_.CopyToHost(top_logprobs_.data(), host_top_logprobs_.data(),
                  num_tokens * kMaxLogprobs * sizeof(float));
}

StepOutput StepTokens::output(size_t num_rows) const {
  const size_t num_tokens = num_rows * static_cast<size_t>(tokens_per_step_);
  StepOutput output;
  output.tokens = absl::MakeConstSpan(host_tokens_).first(num_tokens);
  output.logprobs = absl::MakeConstSpan(host_logprobs_).first(num_tokens);
  output.top_ids =
      absl::MakeConstSpan(host_top_ids_).first(num_tokens * kMaxLogprobs);
  output.top_logprobs =
      absl::MakeConstSpan(host_top_logprobs_).first(num_tokens * kMaxLogprobs);
  return output;
}

}  // namespace blockserve
