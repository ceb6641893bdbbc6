#include "runtime/golden/golden_cases.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/status_macros.h"
#include "runtime/golden/golden_layout.h"
#include "runtime/golden/json_fields.h"

namespace blockserve {
namespace {

using nlohmann::json;

constexpr int kMaxLength = 1 << 20;  // of anything, in tokens

absl::Status CheckLength(const JsonFields& fields, const char* key, size_t got,
                         size_t expected) {
  if (got == expected) return absl::OkStatus();
  return fields.Error(
      key, absl::StrCat("expected ", expected, " values, got ", got));
}

// What generation gave: the part that runs, rows of batches and rows alone
// share.
absl::Status ReadResult(const JsonFields& fields, const ModelConfig& config,
                        GoldenRun& run) {
  ASSIGN_OR_RETURN(run.output, fields.Ids("output", config.vocab_size));
  if (fields.Find("generated") == nullptr) {
    return fields.Error("generated", "is missing");
  }
  ASSIGN_OR_RETURN(run.generated, fields.Ids("generated", config.vocab_size));
  ASSIGN_OR_RETURN(run.num_valid, fields.OptionalInt("n_valid", 0, kMaxLength));
  ASSIGN_OR_RETURN(run.finish, fields.Text("finish"));
  ASSIGN_OR_RETURN(run.logprobs, fields.Numbers("logprobs"));
  ASSIGN_OR_RETURN(run.gaps, fields.Numbers("gaps"));
  const size_t num_valid =
      static_cast<size_t>(run.num_valid.value_or(kMaxLength));
  if (run.num_valid.has_value() && num_valid > run.generated.size()) {
    return fields.Error("n_valid", "expected at most the ids generated");
  }
  const size_t expected = std::min(num_valid, run.generated.size());
  if (!run.logprobs.empty()) {
    RETURN_IF_ERROR(
        CheckLength(fields, "logprobs", run.logprobs.size(), expected));
  }
  if (!run.gaps.empty()) {
    RETURN_IF_ERROR(CheckLength(fields, "gaps", run.gaps.size(), expected));
  }
  return absl::OkStatus();
}

absl::Status ReadPrompt(const JsonFields& fields, const ModelConfig& config,
                        GoldenRun& run) {
  ASSIGN_OR_RETURN(run.name, fields.Text("name"));
  ASSIGN_OR_RETURN(run.prompt, fields.Ids("prompt", config.vocab_size));
  if (run.prompt.empty() || run.prompt.size() > kMaxLength) {
    return fields.Error("prompt", "expected between 1 and 2^20 tokens");
  }
  ASSIGN_OR_RETURN(run.max_length, fields.Int("max_length", 0, kMaxLength));
  return absl::OkStatus();
}

absl::StatusOr<GoldenRun> ReadRun(const JsonFields& fields,
                                  const ModelConfig& config) {
  GoldenRun run;
  RETURN_IF_ERROR(ReadPrompt(fields, config, run));
  RETURN_IF_ERROR(ReadResult(fields, config, run));
  ASSIGN_OR_RETURN(run.left_padding,
                   fields.OptionalInt("left_padding", 0, kMaxLength));
  const size_t padded_length =
      PadPrompt(run.prompt, {}, config.block_length, config.special.prompt_pad)
          .ids.size();
  if (fields.Find("padded_prompt") != nullptr) {
    ASSIGN_OR_RETURN(run.padded_prompt,
                     fields.Ids("padded_prompt", config.vocab_size));
    RETURN_IF_ERROR(CheckLength(fields, "padded_prompt",
                                run.padded_prompt.size(), padded_length));
  }
  if (fields.Find("padded_attention_mask") != nullptr) {
    ASSIGN_OR_RETURN(run.padded_mask, fields.Mask("padded_attention_mask"));
    RETURN_IF_ERROR(CheckLength(fields, "padded_attention_mask",
                                run.padded_mask.size(), padded_length));
  }
  return run;
}

// `key`: a list of lists of `length` integers up to `max`.
absl::StatusOr<std::vector<std::vector<int32_t>>> ReadRows(
    const JsonFields& fields, const char* key, size_t num_rows, size_t length,
    int max) {
  std::vector<std::vector<int32_t>> rows;
  const json* value = fields.Find(key);
  if (value == nullptr) return rows;
  if (!value->is_array() || value->size() != num_rows) {
    return fields.Error(key, absl::StrCat("expected ", num_rows, " lists"));
  }
  for (const json& element : *value) {
    auto row = FlatIntegers(element, 0, max);
    if (!row.has_value() || (length != 0 && row->size() != length)) {
      return fields.Error(key, absl::StrCat("expected lists of ", length,
                                            " integers in [0, ", max, "]"));
    }
    rows.push_back(*std::move(row));
  }
  return rows;
}

absl::StatusOr<GoldenBatchRow> ReadBatchRow(const JsonFields& fields,
                                            const ModelConfig& config) {
  GoldenBatchRow row;
  RETURN_IF_ERROR(ReadResult(fields, config, row.run));
  const json* alone = fields.Find("alone");
  if (alone == nullptr) return row;
  ASSIGN_OR_RETURN(
      const JsonFields alone_fields,
      JsonFields::Create(*alone, absl::StrCat(fields.where(), ".alone")));
  row.alone.emplace();
  RETURN_IF_ERROR(ReadResult(alone_fields, config, *row.alone));
  ASSIGN_OR_RETURN(row.alone_has_same_tokens,
                   alone_fields.OptionalBool("valid_tokens_equal"));
  return row;
}

absl::StatusOr<GoldenBatch> ReadBatch(const JsonFields& fields,
                                      const ModelConfig& config) {
  GoldenBatch batch;
  ASSIGN_OR_RETURN(batch.name, fields.Text("name"));
  ASSIGN_OR_RETURN(batch.max_length, fields.Int("max_length", 1, kMaxLength));
  ASSIGN_OR_RETURN(const std::vector<JsonFields> rows, fields.Objects("rows"));
  ASSIGN_OR_RETURN(
      std::vector<std::vector<int32_t>> prompts,
      ReadRows(fields, "prompts", rows.size(), 0, config.vocab_size - 1));
  if (rows.empty() || prompts.empty()) {
    return fields.Error("prompts", "expected one list a row");
  }
  size_t longest = 0;
  for (const auto& prompt : prompts) {
    if (prompt.empty())
      return fields.Error("prompts", "expected no empty list");
    longest = std::max(longest, prompt.size());
  }
  ASSIGN_OR_RETURN(
      const std::optional<int> row_length,
      fields.OptionalInt("row_length", static_cast<int>(longest), kMaxLength));
  batch.row_length = row_length.value_or(static_cast<int>(longest));
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSIGN_OR_RETURN(GoldenBatchRow row, ReadBatchRow(rows[i], config));
    row.run.prompt = prompts[i];
    row.run.max_length = batch.max_length;
    if (row.alone.has_value()) {
      row.alone->prompt = std::move(prompts[i]);
      // Asked for as many new tokens.
      row.alone->max_length = static_cast<int>(row.alone->prompt.size()) +
                              batch.max_length - batch.row_length;
    }
    batch.rows.push_back(std::move(row));
  }

  const auto row_ids = [&](const GoldenBatchRow& row) {
    const size_t given = static_cast<size_t>(batch.row_length);
    const std::vector<int32_t>& prompt = row.run.prompt;
    std::vector<int32_t> ids(given - prompt.size(), config.special.prompt_pad);
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    std::vector<uint8_t> mask(given - prompt.size(), 0);
    mask.resize(given, 1);
    return PadPrompt(ids, mask, config.block_length, config.special.prompt_pad);
  };
  const size_t padded_length = row_ids(batch.rows[0]).ids.size();
  ASSIGN_OR_RETURN(batch.padded_ids,
                   ReadRows(fields, "padded_input_ids", rows.size(),
                            padded_length, config.vocab_size - 1));
  ASSIGN_OR_RETURN(const auto masks, ReadRows(fields, "padded_attention_mask",
                                              rows.size(), padded_length, 1));
  for (const auto& mask : masks) {
    batch.padded_mask.emplace_back(mask.begin(), mask.end());
  }
  for (const GoldenBatchRow& row : batch.rows) {
    const PaddedTokens padded = row_ids(row);
    if (batch.padded_ids.size() < batch.rows.size()) {
      batch.padded_ids.push_back(padded.ids);
    }
    if (batch.padded_mask.size() < batch.rows.size()) {
      batch.padded_mask.push_back(padded.mask);
    }
  }
  return batch;
}

absl::StatusOr<GoldenScore> ReadScore(const JsonFields& fields,
                                      const ModelConfig& config) {
  GoldenScore score;
  ASSIGN_OR_RETURN(score.name, fields.Text("name"));
  ASSIGN_OR_RETURN(score.mode, fields.Text("mode"));
  ASSIGN_OR_RETURN(score.context, fields.Ids("context", config.vocab_size));
  ASSIGN_OR_RETURN(score.continuation,
                   fields.Ids("continuation", config.vocab_size));
  ASSIGN_OR_RETURN(score.logprobs, fields.Numbers("logprobs"));
  RETURN_IF_ERROR(CheckLength(fields, "logprobs", score.logprobs.size(),
                              score.continuation.size()));
  ASSIGN_OR_RETURN(score.is_greedy, fields.OptionalBool("is_greedy"));
  ASSIGN_OR_RETURN(score.input_blocks,
                   fields.Ids("input_blocks", config.vocab_size));
  ASSIGN_OR_RETURN(score.attention_mask, fields.Mask("attention_mask"));
  ASSIGN_OR_RETURN(score.block_attention_mask,
                   fields.Mask("block_attention_mask"));
  ASSIGN_OR_RETURN(score.batch_width,
                   fields.OptionalInt("batch_width", 0, kMaxLength));
  if (const json* artifacts = fields.Find("artifacts"); artifacts != nullptr) {
    if (!artifacts->is_array()) {
      return fields.Error("artifacts", "expected a list of strings");
    }
    for (const json& artifact : *artifacts) {
      if (!artifact.is_string()) {
        return fields.Error("artifacts", "expected a list of strings");
      }
      score.artifacts.push_back(artifact.get<std::string>());
    }
  }
  if (score.context.size() + score.continuation.size() > kMaxLength ||
      score.input_blocks.size() > kMaxLength) {
    return fields.Error("context", "is too long");
  }
  // Given blocks must be usable as they are.
  if (!score.input_blocks.empty()) {
    RETURN_IF_ERROR(CheckLength(fields, "attention_mask",
                                score.attention_mask.size(),
                                score.input_blocks.size()));
    if (score.input_blocks.size() % static_cast<size_t>(config.block_length) !=
        0) {
      return fields.Error("input_blocks", "expected whole blocks");
    }
  }
  return score;
}

// Runs of `key`.
absl::StatusOr<std::vector<GoldenRun>> ReadRuns(const JsonFields& root,
                                                const char* key,
                                                const ModelConfig& config) {
  ASSIGN_OR_RETURN(const std::vector<JsonFields> entries, root.Objects(key));
  std::vector<GoldenRun> runs;
  for (const JsonFields& entry : entries) {
    ASSIGN_OR_RETURN(GoldenRun run, ReadRun(entry, config));
    runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace

absl::StatusOr<GoldenCases> ParseGoldenCases(std::string_view text,
                                             std::string_view source,
                                             const ModelConfig& config) {
  ASSIGN_OR_RETURN(const json value, ParseJson(text, source));
  ASSIGN_OR_RETURN(const JsonFields root,
                   JsonFields::Create(value, std::string(source)));
  RETURN_IF_ERROR(root.Int("format", 1, 1).status());
  GoldenCases cases;
  ASSIGN_OR_RETURN(cases.kind, root.Text("kind"));
  ASSIGN_OR_RETURN(cases.block_length,
                   root.OptionalInt("block_length", 1, kMaxLength));
  ASSIGN_OR_RETURN(cases.vocab_size,
                   root.OptionalInt("vocab_size", 1, INT32_MAX));
  ASSIGN_OR_RETURN(cases.generate_positions_equal_forward,
                   root.OptionalBool("generate_positions_equal_forward"));
  if (const json* special = root.Find("special"); special != nullptr) {
    ASSIGN_OR_RETURN(
        const JsonFields fields,
        JsonFields::Create(*special, absl::StrCat(root.where(), ".special")));
    for (const auto& [key, id] : special->items()) {
      ASSIGN_OR_RETURN(const std::optional<int> number,
                       fields.OptionalInt(key.c_str(), 0, INT32_MAX));
      if (number.has_value()) cases.special[key] = *number;
    }
  }
  ASSIGN_OR_RETURN(cases.generate, ReadRuns(root, "generate", config));
  ASSIGN_OR_RETURN(cases.generate_forward_positions,
                   ReadRuns(root, "generate_forward_positions", config));
  ASSIGN_OR_RETURN(const auto batches, root.Objects("generate_batch"));
  for (const JsonFields& entry : batches) {
    ASSIGN_OR_RETURN(GoldenBatch batch, ReadBatch(entry, config));
    cases.generate_batch.push_back(std::move(batch));
  }
  ASSIGN_OR_RETURN(const auto no_room, root.Objects("no_room"));
  for (const JsonFields& entry : no_room) {
    GoldenRun run;
    RETURN_IF_ERROR(ReadPrompt(entry, config, run));
    if (run.max_length > static_cast<int>(run.prompt.size())) {
      return entry.Error("max_length", "expected at most the prompt's length");
    }
    cases.no_room.push_back(std::move(run));
  }
  ASSIGN_OR_RETURN(const auto scores, root.Objects("score"));
  for (const JsonFields& entry : scores) {
    ASSIGN_OR_RETURN(GoldenScore score, ReadScore(entry, config));
    cases.score.push_back(std::move(score));
  }
  return cases;
}

}  // namespace blockserve
