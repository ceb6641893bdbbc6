// cases.json of a golden directory.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_CASES_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_CASES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/config/model_config.h"

namespace blockserve {

// What greedy generation from one prompt gave. Vectors and optionals that the
// file leaves out are empty and not checked.
struct GoldenRun {
  std::string name;
  std::vector<int32_t> prompt;
  int max_length = 0;
  std::optional<int> left_padding;
  std::vector<int32_t> padded_prompt;
  std::vector<uint8_t> padded_mask;
  std::vector<int32_t> output;
  std::vector<int32_t> generated;
  std::optional<int> num_valid;  // up to and including EOS
  std::string finish;
  std::vector<float> logprobs;  // of the valid ids
  std::vector<float> gaps;
};

struct GoldenBatchRow {
  GoldenRun run;
  std::optional<GoldenRun> alone;  // the same prompt by itself
  std::optional<bool> alone_has_same_tokens;
};

struct GoldenBatch {
  std::string name;
  int max_length = 0;
  int row_length = 0;  // with the caller's padding
  // [rows][row_length + padding to a block]
  std::vector<std::vector<int32_t>> padded_ids;
  std::vector<std::vector<uint8_t>> padded_mask;
  std::vector<GoldenBatchRow> rows;
};

struct GoldenScore {
  std::string name;
  std::string mode;
  std::vector<int32_t> context;
  std::vector<int32_t> continuation;
  std::vector<float> logprobs;
  std::optional<bool> is_greedy;
  std::vector<int32_t> input_blocks;  // flat
  std::vector<uint8_t> attention_mask;
  std::vector<uint8_t> block_attention_mask;
  std::optional<int> batch_width;
  std::vector<std::string> artifacts;
};

struct GoldenCases {
  std::string kind;
  std::optional<int> block_length;
  std::optional<int> vocab_size;
  std::map<std::string, int> special;  // those that are not null
  std::optional<bool> generate_positions_equal_forward;
  std::vector<GoldenRun> generate;
  std::vector<GoldenRun> generate_forward_positions;
  std::vector<GoldenBatch> generate_batch;
  std::vector<GoldenRun> no_room;
  std::vector<GoldenScore> score;
};

// Parses and checks what a run relies on: ids in the vocabulary of `config`,
// masks of 0 and 1 as long as their ids, whole blocks. INVALID_ARGUMENT names
// entry and key. `source` names the file in errors.
absl::StatusOr<GoldenCases> ParseGoldenCases(std::string_view text,
                                             std::string_view source,
                                             const ModelConfig& config);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_CASES_H_
