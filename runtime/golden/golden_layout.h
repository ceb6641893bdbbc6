// How prompts and scored texts become blocks and masks (FORMAT.md 6 and 7).
// Pure functions.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_LAYOUT_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_LAYOUT_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace blockserve {

// Ids and which of them are tokens, in whole blocks.
struct PaddedTokens {
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask;
};

// `ids` and `mask` with padding (mask 0) in front up to a whole number of
// blocks. An empty mask stands for ones.
PaddedTokens PadPrompt(absl::Span<const int32_t> ids,
                       absl::Span<const uint8_t> mask, int block_length,
                       int pad_id);

// 1 for each block with a token.
std::vector<uint8_t> BlockMask(absl::Span<const uint8_t> mask,
                               int block_length);

// How a continuation is scored after a context.
struct ScoreLayout {
  PaddedTokens blocks;
  // The continuation's k-th token belongs at index target_begin + k of the
  // blocks (where another id may stand). That is in the second block or later.
  int target_begin = 0;
};

// `mode`: aligned, eval_pad, eval_pad_batched (with `batch_width`), eval_nopad
// or causal (blocks of one token). INVALID_ARGUMENT for another mode, an empty
// continuation, or a context that leaves part of the continuation without one.
absl::StatusOr<ScoreLayout> LayOutScore(std::string_view mode,
                                        absl::Span<const int32_t> context,
                                        absl::Span<const int32_t> continuation,
                                        int block_length, int batch_width,
                                        int prompt_pad_id);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_LAYOUT_H_
