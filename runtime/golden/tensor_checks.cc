#include "runtime/golden/tensor_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/base/status_macros.h"
#include "runtime/golden/golden_layout.h"

namespace blockserve {
namespace {

// Rows [begin, begin + count) of what was seen under `name`. A row that was
// seen in several passes (one an offset, or one a step) is joined in order.
std::vector<float> RecordedRows(const TensorRecorder& recorder,
                                const std::string& name, int64_t begin,
                                int64_t count) {
  // The token decoder's tensors have a row for each position of each row.
  const std::string rows_of =
      absl::StartsWith(name, "token_decoder.") ? "expanded" : name;
  std::vector<float> joined;
  if (recorder.Of(rows_of).empty()) return joined;
  const std::vector<int64_t>& shape = recorder.Of(rows_of).front().shape;
  const int64_t num_rows = shape.empty() ? 0 : shape[0];
  for (int64_t row = begin; row < std::min(begin + count, num_rows); ++row) {
    for (const TensorRecorder::Record& record : recorder.Of(name)) {
      const auto size = static_cast<int64_t>(record.values.size()) / num_rows;
      joined.insert(joined.end(), record.values.begin() + row * size,
                    record.values.begin() + (row + 1) * size);
    }
  }
  return joined;
}

void CheckLogits(const std::string& name, absl::Span<const float> expected,
                 absl::Span<const float> got, const GoldenBounds& bounds,
                 CheckLog& log) {
  if (bounds.exact) {
    return log.ExpectNear(name, expected, got, bounds.tensors);
  }
  log.ExpectNear(name, expected, got, {bounds.max_logit_difference, 0});
  if (expected.size() != got.size()) return;
  double sum = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = double{got[i]} - double{expected[i]};
    sum += difference * difference;
  }
  const double rms = std::sqrt(sum / static_cast<double>(got.size()));
  const std::string text = absl::StrFormat("%.4f", rms);
  if (rms <= bounds.max_logit_rms_difference) {
    log.Pass(name + ".rms", text);
  } else {
    log.Fail(name + ".rms",
             absl::StrFormat("at most %g", bounds.max_logit_rms_difference),
             text, "all values");
  }
}

// What one tensor of the file is compared with.
class Comparison {
 public:
  Comparison(const GoldenTensors& golden, const GoldenBounds& bounds,
             CheckLog& log)
      : golden_(golden), bounds_(bounds), log_(log) {}

  // Compares `name`, if the file has it, with the rows recorded as `recorded`;
  // the first `num_ignored` rows of both mean nothing.
  void Check(const std::string& name, const TensorRecorder& recorder,
             const std::string& recorded, int64_t begin, int64_t count,
             int64_t num_ignored = 0) {
    const GoldenTensor* tensor = golden_.Find(name);
    const bool is_logits = recorded == "logits";
    if (tensor == nullptr || (!bounds_.exact && !is_logits)) return;
    if (recorder.Of(recorded).empty()) {
      return log_.Fail(name, "a tensor", "nothing",
                       absl::StrCat("observed tensor ", recorded));
    }
    const std::vector<float> got = RecordedRows(
        recorder, recorded, begin + num_ignored, count - num_ignored);
    absl::Span<const float> expected = tensor->values;
    if (num_ignored > 0 && count > 0) {
      expected.remove_prefix(expected.size() / static_cast<size_t>(count) *
                             static_cast<size_t>(num_ignored));
    }
    if (is_logits) {
      CheckLogits(name, expected, got, bounds_, log_);
    } else {
      log_.ExpectNear(name, expected, got, bounds_.tensors);
    }
  }

  // The same for `name`.0, `name`.1, ... as far as the file has them.
  void CheckLayers(const std::string& name, const TensorRecorder& recorder,
                   const std::string& recorded, int64_t begin, int64_t count,
                   int64_t num_ignored = 0) {
    for (int layer = 0;; ++layer) {
      const std::string suffix = absl::StrCat(".", layer);
      if (golden_.Find(name + suffix) == nullptr) return;
      // What enters layer 0 has seen no other row.
      Check(name + suffix, recorder, recorded + suffix, begin, count,
            layer == 0 ? 0 : num_ignored);
    }
  }

 private:
  const GoldenTensors& golden_;
  const GoldenBounds& bounds_;
  CheckLog& log_;
};

absl::Status Malformed(const std::string& name, const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("tensors.safetensors: ", name, ": expected ", expected));
}

absl::Status CheckIds(const GoldenTensor& tensor, const std::string& name,
                      int max, int block_length) {
  const std::vector<int32_t>& ids = tensor.integers;
  if (ids.empty() || ids.size() % static_cast<size_t>(block_length) != 0) {
    return Malformed(name, "whole blocks of integers");
  }
  for (const int32_t id : ids) {
    if (id < 0 || id > max) {
      return Malformed(name, absl::StrCat("integers in [0, ", max, "]"));
    }
  }
  return absl::OkStatus();
}

// prompt.input_ids with prompt.attention_mask.
absl::StatusOr<PaddedTokens> ReadPrompt(const GoldenTensors& golden,
                                        const ModelConfig& config) {
  const GoldenTensor* ids = golden.Find("prompt.input_ids");
  if (ids == nullptr) return Malformed("prompt.input_ids", "a tensor");
  RETURN_IF_ERROR(CheckIds(*ids, "prompt.input_ids", config.vocab_size - 1,
                           config.block_length));
  PaddedTokens prompt;
  prompt.ids = ids->integers;
  const GoldenTensor* mask = golden.Find("prompt.attention_mask");
  if (mask == nullptr) {
    prompt.mask.assign(prompt.ids.size(), 1);
    return prompt;
  }
  RETURN_IF_ERROR(
      CheckIds(*mask, "prompt.attention_mask", 1, config.block_length));
  if (mask->integers.size() != prompt.ids.size()) {
    return Malformed("prompt.attention_mask", "the extents of the ids");
  }
  prompt.mask.assign(mask->integers.begin(), mask->integers.end());
  return prompt;
}

absl::Status CheckVanilla(const PaddedTokens& prompt, Comparison& comparison,
                          RecordedRunner forward) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  std::vector<int32_t> following(prompt.ids.begin() + 1, prompt.ids.end());
  following.push_back(0);
  forward.recorder->Clear();
  RETURN_IF_ERROR(
      forward.runner->RunForced(prompt, static_cast<int>(length), following));
  const TensorRecorder& recorder = *forward.recorder;
  comparison.CheckLayers("prompt.layer_input", recorder, "layer_input", 0,
                         length);
  comparison.Check("prompt.output", recorder, "output", 0, length);
  comparison.Check("prompt.logits", recorder, "logits", 0, length);
  return absl::OkStatus();
}

// One pass over prompt and generated blocks.
absl::Status CheckForward(const PaddedTokens& prompt,
                          absl::Span<const int32_t> generated, int block_length,
                          Comparison& comparison, RecordedRunner forward) {
  PaddedTokens blocks = prompt;
  blocks.ids.insert(blocks.ids.end(), generated.begin(), generated.end());
  blocks.mask.resize(blocks.ids.size(), 1);
  const auto num_units = static_cast<int64_t>(blocks.ids.size()) / block_length;
  std::vector<int32_t> following(blocks.ids.begin() + block_length,
                                 blocks.ids.end());
  following.resize(blocks.ids.size(), 0);
  forward.recorder->Clear();
  RETURN_IF_ERROR(forward.runner->RunForced(blocks, static_cast<int>(num_units),
                                            following));

  const TensorRecorder& recorder = *forward.recorder;
  const auto num_prompt =
      static_cast<int64_t>(prompt.ids.size()) / block_length;
  const int64_t num_generated = num_units - num_prompt;
  const std::vector<uint8_t> visible = BlockMask(prompt.mask, block_length);
  const int64_t num_ignored =
      std::find(visible.begin(), visible.end(), 1) - visible.begin();
  comparison.Check("prompt.embedder.output", recorder, "embedder.output", 0,
                   num_prompt);
  comparison.CheckLayers("prompt.block_decoder.layer_input", recorder,
                         "block_decoder.layer_input", 0, num_prompt,
                         num_ignored);
  comparison.Check("prompt.block_decoder.output", recorder,
                   "block_decoder.output", 0, num_prompt, num_ignored);
  // A generated block is written from the context before it.
  const int64_t context = num_prompt - 1;
  comparison.Check("gen.embedder.output", recorder, "embedder.output",
                   num_prompt, num_generated);
  comparison.Check("gen.block_decoder.output_forward", recorder,
                   "block_decoder.output", context, num_generated);
  comparison.Check("gen.expanded", recorder, "expanded", context,
                   num_generated);
  comparison.CheckLayers("gen.token_decoder.layer_input_forward", recorder,
                         "token_decoder.layer_input", context, num_generated);
  comparison.Check("gen.token_decoder.output_forward", recorder,
                   "token_decoder.output", context, num_generated);
  comparison.Check("gen.logits.forward", recorder, "logits", context,
                   num_generated);
  return absl::OkStatus();
}

// Block by block with the cache, as generation goes.
absl::Status CheckGenerate(const PaddedTokens& prompt,
                           absl::Span<const int32_t> generated,
                           int block_length, Comparison& comparison,
                           RecordedRunner generate) {
  PaddedTokens blocks = prompt;
  blocks.ids.insert(blocks.ids.end(), generated.begin(),
                    generated.end() - block_length);
  blocks.mask.resize(blocks.ids.size(), 1);
  generate.recorder->Clear();
  RETURN_IF_ERROR(generate.runner->RunForcedByStep(
      blocks, static_cast<int>(prompt.ids.size()) / block_length, generated));
  // One row a step, so all records of row 0 are the generated blocks in order.
  comparison.Check("gen.block_decoder.output", *generate.recorder,
                   "block_decoder.output", 0, 1);
  comparison.Check("gen.logits.generate", *generate.recorder, "logits", 0, 1);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTensors(const GoldenTensors& golden,
                          const GoldenBounds& bounds, RecordedRunner forward,
                          RecordedRunner generate, CheckLog& log) {
  const ModelConfig& config = forward.runner->config();
  Comparison comparison(golden, bounds, log);
  ASSIGN_OR_RETURN(const PaddedTokens prompt, ReadPrompt(golden, config));
  if (config.family == ModelFamily::kVanilla) {
    return CheckVanilla(prompt, comparison, forward);
  }
  std::vector<int32_t> generated;
  if (const GoldenTensor* tokens = golden.Find("gen.tokens")) {
    RETURN_IF_ERROR(CheckIds(*tokens, "gen.tokens", config.vocab_size - 1,
                             config.block_length));
    generated = tokens->integers;
  }
  RETURN_IF_ERROR(CheckForward(prompt, generated, config.block_length,
                               comparison, forward));
  if (generated.empty()) return absl::OkStatus();
  return CheckGenerate(prompt, generated, config.block_length, comparison,
                       generate);
}

absl::Status CheckLogitsAgainst(absl::Span<const GoldenRun> runs,
                                const GoldenBounds& bounds,
                                RecordedRunner exact, RecordedRunner lower,
                                CheckLog& log) {
  const ModelConfig& config = exact.runner->config();
  const auto block_length = static_cast<size_t>(config.block_length);
  for (const GoldenRun& run : runs) {
    PaddedTokens blocks = PadPrompt(run.prompt, {}, config.block_length,
                                    config.special.prompt_pad);
    // Whole generated blocks only.
    const size_t length = run.generated.size() / block_length * block_length;
    if (length == 0) continue;
    const absl::Span<const int32_t> following =
        absl::MakeConstSpan(run.generated).first(length);
    blocks.ids.insert(blocks.ids.end(), following.begin(),
                      following.end() - block_length);
    blocks.mask.resize(blocks.ids.size(), 1);
    const int num_outputs = static_cast<int>(length / block_length);
    for (const RecordedRunner& recorded : {exact, lower}) {
      recorded.recorder->Clear();
      RETURN_IF_ERROR(
          recorded.runner->RunForced(blocks, num_outputs, following));
    }
    CheckLogits("fp32_logits." + run.name,
                RecordedRows(*exact.recorder, "logits", 0, num_outputs),
                RecordedRows(*lower.recorder, "logits", 0, num_outputs), bounds,
                log);
  }
  return absl::OkStatus();
}

}  // namespace blockserve
