// Arguments of Ops::SampleTokens: how each row of a step picks its next token.
#ifndef BLOCKSERVE_KERNELS_API_SAMPLE_ARGS_H_
#define BLOCKSERVE_KERNELS_API_SAMPLE_ARGS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Written where the logits of a row hold NaN or +infinity (as projected, or
// after they were changed), or nothing is left to pick from: the row's request
// must end with an error. A forced token is never overwritten; there, and in
// every other column of a row whose projected logits hold NaN or +infinity or
// nothing finite, the log-probabilities are NaN and the alternatives' ids are
// kInvalidToken.
inline constexpr int32_t kInvalidToken = -1;

// At most this many alternatives are reported per token.
inline constexpr int kMaxLogprobs = 20;

// How often a token id occurs in a sequence before this step.
struct TokenCount {
  int32_t id = 0;
  int32_t output_count = 0;  // among generated tokens
  bool in_prompt = false;
};

// The sampling state of one row. Spans are borrowed for the call.
//
// The logits of the row are changed in this order: bias added (an id given
// twice: both); repetition penalty (positive logits divided by it, others
// multiplied) on ids in prompt or output; frequency_penalty * count and
// presence_penalty subtracted for ids in the output; banned ids removed.
// "Output" is output_count of `history` plus the tokens of this block in
// columns < offset, drawn or forced (negative ones are ignored). A logit of
// -infinity is never picked. Temperature <= 0 then takes the largest logit.
// Otherwise logits are divided by the temperature and restricted to the top_k
// largest, then to the smallest set of most likely tokens whose probabilities
// (renormalised over what top_k left) sum to at least top_p, then to those
// with at least min_p of the largest probability; of what is left the largest
// logit + Gumbel noise wins. The lower id comes first on every tie, so top_k
// leaves exactly that many. The most likely token always stays. The noise is
// GumbelFromWord(SamplingWords(seed, position + offset, id / 4)[id % 4])
// (runtime/base/philox.h), so neither batch nor ranks change a draw.
//
// All ids are in [0, vocab_size).
struct SampleRow {
  float temperature = 0.0f;  // <= 0: greedy
  int32_t top_k = 0;         // <= 0: off
  float top_p = 1.0f;        // >= 1: off
  float min_p = 0.0f;        // <= 0: off
  float repetition_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  uint64_t seed = 0;
  uint64_t position = 0;  // of the block's offset 0, in generated tokens
  int32_t num_forced =
      0;  // tokens at offsets < num_forced are given, not drawn
  int32_t num_logprobs = -1;     // -1: no log-probabilities; else alternatives
  int32_t ban_until_offset = 0;  // banned_ids apply at offsets < this
  absl::Span<const int32_t> banned_ids = {};  // EOS and stop ids (min_tokens)
  absl::Span<const int32_t> bias_ids = {};
  absl::Span<const float> bias_values = {};   // same length as bias_ids
  absl::Span<const TokenCount> history = {};  // for the penalties; unique ids
};

struct SampleArgs {
  absl::Span<const SampleRow> rows;  // host
  // `rows` are those of the last Ops::SetSampleRows, unchanged: so often as a
  // block has tokens, a device needs to be told of them once.
  bool rows_are_set = false;
  int offset = 0;  // in the block: the column that is written
  // int32 [rows, tokens_per_step], host-visible. Columns < offset are this
  // block's tokens so far (they count for the penalties); column `offset` is
  // written unless forced.
  TensorView tokens;
  // Log-probabilities of the model itself (before bias, penalties and
  // temperature), written in column `offset` for rows with num_logprobs >= 0,
  // forced or not; of the alternatives the first num_logprobs (past the end of
  // a tiny vocabulary: kInvalidToken, -infinity). Host-visible; the last two
  // may be empty if no row wants alternatives, all three if none is reported.
  TensorView logprobs = {};      // float [rows, tokens_per_step]
  TensorView top_ids = {};       // int32 [rows, tokens_per_step, kMaxLogprobs]
  TensorView top_logprobs = {};  // float, same shape; most likely first
  // Optional: the unchanged logits, for tests. float [rows, vocab_size]
  TensorView logits = {};
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_API_SAMPLE_ARGS_H_
