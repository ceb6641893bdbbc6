#include "runtime/golden/golden_layout.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

// The distance up to the next multiple of `block_length`: 0..block_length-1.
size_t ToBoundary(size_t length, int block_length) {
  const auto block = static_cast<size_t>(block_length);
  return (block - length % block) % block;
}

std::vector<int32_t> Concat(absl::Span<const int32_t> a,
                            absl::Span<const int32_t> b) {
  std::vector<int32_t> both(a.begin(), a.end());
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

ScoreLayout LayOutAligned(absl::Span<const int32_t> context,
                          absl::Span<const int32_t> continuation,
                          int block_length, int pad_id) {
  ScoreLayout layout;
  layout.blocks = PadPrompt(context, {}, block_length, pad_id);
  PaddedTokens& blocks = layout.blocks;
  layout.target_begin = static_cast<int>(blocks.ids.size());
  blocks.ids.insert(blocks.ids.end(), continuation.begin(), continuation.end());
  blocks.mask.resize(blocks.ids.size(), 1);
  const size_t padding = ToBoundary(blocks.ids.size(), block_length);
  blocks.ids.resize(blocks.ids.size() + padding, 0);
  blocks.mask.resize(blocks.ids.size(), 0);
  return layout;
}

// The evaluation's batches: every id 0 counts as padding, but for one.
ScoreLayout LayOutEvaluation(absl::Span<const int32_t> context,
                             absl::Span<const int32_t> continuation,
                             int block_length, int batch_width,
                             bool pad_in_front) {
  std::vector<int32_t> text = Concat(context, continuation);
  text.pop_back();
  text.resize(std::max(text.size(), static_cast<size_t>(batch_width)), 0);
  const auto block = static_cast<size_t>(block_length);
  const size_t front = pad_in_front ? block - 1 : 0;
  const size_t behind = block - (text.size() + front) % block;  // 1..b

  ScoreLayout layout;
  std::vector<int32_t>& ids = layout.blocks.ids;
  ids.resize(front, 0);
  ids.insert(ids.end(), text.begin(), text.end());
  ids.resize(ids.size() + behind, 0);
  std::vector<uint8_t>& mask = layout.blocks.mask;
  for (const int32_t id : ids) mask.push_back(id != 0 ? 1 : 0);

  const auto first_zero = std::find(text.begin(), text.end(), 0);
  const bool starts_with_zero = first_zero == text.begin();
  const size_t switched_on =
      first_zero == text.end() || starts_with_zero
          ? front + text.size()
          : front + static_cast<size_t>(first_zero - text.begin());
  mask[switched_on] = 1;
  layout.target_begin = static_cast<int>(front + context.size());
  return layout;
}

ScoreLayout LayOutCausal(absl::Span<const int32_t> context,
                         absl::Span<const int32_t> continuation) {
  ScoreLayout layout;
  layout.blocks.ids = Concat(context, continuation);
  layout.blocks.mask.resize(layout.blocks.ids.size(), 1);
  layout.target_begin = static_cast<int>(context.size());
  return layout;
}

}  // namespace

PaddedTokens PadPrompt(absl::Span<const int32_t> ids,
                       absl::Span<const uint8_t> mask, int block_length,
                       int pad_id) {
  const size_t padding = ToBoundary(ids.size(), block_length);
  PaddedTokens padded;
  padded.ids.assign(padding, pad_id);
  padded.ids.insert(padded.ids.end(), ids.begin(), ids.end());
  padded.mask.assign(padding, 0);
  padded.mask.insert(padded.mask.end(), mask.begin(), mask.end());
  padded.mask.resize(padded.ids.size(), 1);
  return padded;
}

std::vector<uint8_t> BlockMask(absl::Span<const uint8_t> mask,
                               int block_length) {
  const auto block = static_cast<size_t>(block_length);
  std::vector<uint8_t> blocks((mask.size() + block - 1) / block, 0);
  for (size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] != 0) blocks[i / block] = 1;
  }
  return blocks;
}

absl::StatusOr<ScoreLayout> LayOutScore(std::string_view mode,
                                        absl::Span<const int32_t> context,
                                        absl::Span<const int32_t> continuation,
                                        int block_length, int batch_width,
                                        int prompt_pad_id) {
  if (continuation.empty()) {
    return absl::InvalidArgumentError("expected a continuation, got no tokens");
  }
  ScoreLayout layout;
  if (mode == "aligned") {
    layout = LayOutAligned(context, continuation, block_length, prompt_pad_id);
  } else if (mode == "eval_pad" || mode == "eval_pad_batched") {
    layout = LayOutEvaluation(context, continuation, block_length, batch_width,
                              /*pad_in_front=*/true);
  } else if (mode == "eval_nopad") {
    layout = LayOutEvaluation(context, continuation, block_length, batch_width,
                              /*pad_in_front=*/false);
  } else if (mode == "causal" && block_length == 1) {
    layout = LayOutCausal(context, continuation);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown mode \"", absl::CEscape(std::string(mode)), "\""));
  }
  if (layout.target_begin < block_length) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a context before the continuation, got ",
                     context.size(), " tokens in mode ", std::string(mode)));
  }
  return layout;
}

}  // namespace blockserve
