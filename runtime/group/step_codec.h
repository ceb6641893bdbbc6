// A step's input as bytes, on its way from the leader of a group to its ranks.
//
// Little-endian, no padding. i32/i64/f32 are themselves, a list is its length
// as i32 and then its elements:
//   i32 num_tokens
//   list of chunks: tokens, token_mask, pages (lists), i32 unit_begin,
//                   i32 cache_length, i32 num_outputs
//   list of rows:   the scalars of SampleRow in order, banned_ids, bias_ids,
//                   bias_values, history (lists; a TokenCount is i32 id,
//                   i32 output_count, u8 in_prompt), forced_tokens, forced_mask
// Of `pages` only those go along that the chunk reads or writes.
#ifndef BLOCKSERVE_RUNTIME_GROUP_STEP_CODEC_H_
#define BLOCKSERVE_RUNTIME_GROUP_STEP_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/sample_args.h"
#include "runtime/model/model.h"

namespace blockserve {

// Replaces `frame`, whose memory is used again from step to step.
void EncodeStep(const StepInput& input, int tokens_per_step,
                std::vector<uint8_t>& frame);

// Owns what the decoded input refers to; used again from step to step. The
// values are as sent: ValidateStep judges them.
class StepDecoder {
 public:
  // Valid until the next call. INVALID_ARGUMENT for bytes that EncodeStep does
  // not make: what was expected, and where.
  absl::StatusOr<StepInput> Decode(std::string_view frame);

 private:
  std::vector<SequenceChunk> chunks_;
  std::vector<DecodeRow> rows_;
  // Elements of all lists, in order of appearance. Their memory moves while
  // they grow, so spans are set at the end, from the lengths.
  std::vector<int32_t> ints_;
  std::vector<float> floats_;
  std::vector<uint8_t> bytes_;
  std::vector<TokenCount> counts_;
  std::vector<size_t> lengths_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GROUP_STEP_CODEC_H_
