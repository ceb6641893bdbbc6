#include "runtime/golden/score_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/golden/golden_layout.h"

namespace blockserve {
namespace {

std::string NameOf(const GoldenScore& score, size_t index) {
  return absl::StrCat("score[", index, "].", score.name, ".", score.mode);
}

absl::StatusOr<ScoreLayout> LayoutOf(const GoldenScore& score,
                                     const std::string& name,
                                     const ModelConfig& config) {
  auto layout = LayOutScore(score.mode, score.context, score.continuation,
                            config.block_length, score.batch_width.value_or(0),
                            config.special.prompt_pad);
  if (layout.ok()) return layout;
  return absl::Status(
      layout.status().code(),
      absl::StrCat(name, ": ", std::string(layout.status().message())));
}

std::vector<int32_t> AsIds(absl::Span<const uint8_t> mask) {
  return std::vector<int32_t>(mask.begin(), mask.end());
}

// The reference does not compute logits of padding: they read as zeros.
bool HasZeroLogits(const PaddedTokens& blocks, int index, int fill_id) {
  return blocks.ids[index] == fill_id && blocks.mask[index] == 0;
}

absl::Status CheckScore(const std::string& name, const GoldenScore& score,
                        const ScoreLayout& layout, const GoldenBounds& bounds,
                        ModelRunner& runner, CheckLog& log) {
  const ModelConfig& config = runner.config();
  const int block_length = config.block_length;
  const bool is_vanilla = config.family == ModelFamily::kVanilla;
  PaddedTokens blocks = layout.blocks;
  if (!score.input_blocks.empty()) {
    blocks = {score.input_blocks, score.attention_mask};
  }
  const int num_targets = static_cast<int>(score.continuation.size());
  if (layout.target_begin + num_targets > static_cast<int>(blocks.ids.size())) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ".input_blocks: expected at least ",
        layout.target_begin + num_targets, " ids, got ", blocks.ids.size()));
  }
  std::vector<ScoreTarget> targets;
  for (int k = 0; k < num_targets; ++k) {
    targets.push_back({layout.target_begin + k, score.continuation[k]});
  }
  // A target in place of another id hides what the row holds from the tokens
  // after it: only the last one may.
  for (int k = 0; k + 1 < num_targets; ++k) {
    if (blocks.ids[targets[k].index] != targets[k].id) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ".input_blocks: expected id ", targets[k].id, " at index ",
          targets[k].index, ", got ", blocks.ids[targets[k].index]));
    }
  }
  ASSIGN_OR_RETURN(const std::vector<ScoredToken> scored,
                   runner.Score(blocks, targets));

  const std::vector<uint8_t> block_mask = BlockMask(blocks.mask, block_length);
  const int first_visible = static_cast<int>(
      std::find(block_mask.begin(), block_mask.end(), 1) - block_mask.begin());
  std::vector<float> expected;
  std::vector<float> got;
  bool is_greedy = true;
  for (int k = 0; k < num_targets; ++k) {
    if (targets[k].index / block_length <= first_visible) continue;
    ScoredToken token = scored[k];
    if (!is_vanilla &&
        HasZeroLogits(blocks, targets[k].index, config.special.fill)) {
      token.logprob = -std::log(static_cast<float>(config.vocab_size));
      token.most_likely_id = 0;
    }
    expected.push_back(score.logprobs[k]);
    got.push_back(token.logprob);
    is_greedy = is_greedy && token.most_likely_id == targets[k].id;
  }
  const size_t num_skipped = score.logprobs.size() - expected.size();
  if (num_skipped > 0) {
    log.Skip(name + ".logprobs",
             absl::StrCat("the first ", num_skipped,
                          ": no block before them holds a token"));
  }
  if (!expected.empty()) {
    log.ExpectNear(name + ".logprobs", expected, got, bounds.logprobs);
  }
  if (score.is_greedy.has_value() && num_skipped == 0 && bounds.exact) {
    log.ExpectEqual(name + ".is_greedy", *score.is_greedy ? "true" : "false",
                    is_greedy ? "true" : "false");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckScoreLayouts(absl::Span<const GoldenScore> scores,
                               const ModelConfig& config, CheckLog& log) {
  for (size_t i = 0; i < scores.size(); ++i) {
    const GoldenScore& score = scores[i];
    const std::string name = NameOf(score, i);
    ASSIGN_OR_RETURN(const ScoreLayout layout, LayoutOf(score, name, config));
    if (!score.input_blocks.empty()) {
      log.ExpectSameIds(name + ".input_blocks", score.input_blocks,
                        layout.blocks.ids);
      log.ExpectSameIds(name + ".attention_mask", AsIds(score.attention_mask),
                        AsIds(layout.blocks.mask));
    }
    if (!score.block_attention_mask.empty()) {
      log.ExpectSameIds(
          name + ".block_attention_mask", AsIds(score.block_attention_mask),
          AsIds(BlockMask(layout.blocks.mask, config.block_length)));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckScores(absl::Span<const GoldenScore> scores,
                         const GoldenBounds& bounds, ModelRunner& runner,
                         CheckLog& log) {
  for (size_t i = 0; i < scores.size(); ++i) {
    const std::string name = NameOf(scores[i], i);
    ASSIGN_OR_RETURN(const ScoreLayout layout,
                     LayoutOf(scores[i], name, runner.config()));
    RETURN_IF_ERROR(CheckScore(name, scores[i], layout, bounds, runner, log));
  }
  return absl::OkStatus();
}

}  // namespace blockserve
