#include "runtime/golden/generation_checks.h"

#include <algorithm>
#include <cmath>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/base/status_macros.h"
#include "runtime/golden/golden_layout.h"

namespace blockserve {
namespace {

// How many ids of a run must be reproduced: with lower precision those before
// the first close decision.
size_t ComparableLength(const GoldenRun& run, const GoldenBounds& bounds) {
  if (bounds.exact) return run.generated.size();
  const auto close =
      std::find_if(run.gaps.begin(), run.gaps.end(),
                   [&](float gap) { return !(gap >= bounds.min_gap); });
  return static_cast<size_t>(close - run.gaps.begin());
}

template <typename T>
absl::Span<const T> FirstOf(const std::vector<T>& values, size_t count) {
  return absl::MakeConstSpan(values).first(std::min(count, values.size()));
}

void CheckResult(const std::string& name, const GoldenRun& run,
                 const GreedyResult& got, const GoldenBounds& bounds,
                 CheckLog& log) {
  const size_t length = ComparableLength(run, bounds);
  log.ExpectSameIds(name + ".generated", FirstOf(run.generated, length),
                    FirstOf(got.generated, length));
  if (bounds.exact) {
    if (run.num_valid.has_value()) {
      log.ExpectEqual(name + ".n_valid", absl::StrCat(*run.num_valid),
                      absl::StrCat(got.num_valid));
    }
    if (!run.finish.empty()) {
      log.ExpectEqual(name + ".finish", run.finish,
                      got.ended ? "eos" : "length");
    }
    if (!run.gaps.empty()) {
      // Two log-probabilities, so twice their tolerance.
      log.ExpectNear(name + ".gaps", run.gaps, got.gaps,
                     {2 * bounds.logprobs.absolute, 0});
    }
  }
  if (!run.logprobs.empty()) {
    log.ExpectNear(name + ".logprobs", FirstOf(run.logprobs, length),
                   FirstOf(got.logprobs, length), bounds.logprobs);
  }
}

// What the file says about `run` must agree with how we read the rules.
void CheckLayout(const std::string& name, const GoldenRun& run,
                 const PaddedTokens& padded, CheckLog& log) {
  const size_t padding = padded.ids.size() - run.prompt.size();
  if (run.left_padding.has_value()) {
    log.ExpectEqual(name + ".left_padding", absl::StrCat(*run.left_padding),
                    absl::StrCat(padding));
  }
  if (!run.padded_prompt.empty()) {
    log.ExpectSameIds(name + ".padded_prompt", run.padded_prompt, padded.ids);
  }
  if (!run.padded_mask.empty()) {
    const std::vector<int32_t> expected(run.padded_mask.begin(),
                                        run.padded_mask.end());
    const std::vector<int32_t> got(padded.mask.begin(), padded.mask.end());
    log.ExpectSameIds(name + ".padded_attention_mask", expected, got);
  }
  if (!run.output.empty()) {
    std::vector<int32_t> output = run.prompt;
    output.insert(output.end(), run.generated.begin(), run.generated.end());
    log.ExpectSameIds(name + ".output", run.output, output);
  }
}

PaddedTokens PromptOf(const GoldenRun& run, const ModelConfig& config) {
  return PadPrompt(run.prompt, {}, config.block_length,
                   config.special.prompt_pad);
}

// Whether a row and the same prompt alone agree over their common length, as
// the file claims. Where it claims that they differ, anything may.
void CheckRowAgainstAlone(const std::string& name, const GoldenBatchRow& row,
                          const GreedyResult& in_batch,
                          const GreedyResult& alone, CheckLog& log) {
  if (!row.alone_has_same_tokens.value_or(false)) return;
  const size_t common =
      static_cast<size_t>(std::min(in_batch.num_valid, alone.num_valid));
  log.ExpectSameIds(name + ".same_as_alone", FirstOf(alone.generated, common),
                    FirstOf(in_batch.generated, common));
}

}  // namespace

absl::Status CheckRuns(const std::string& list,
                       absl::Span<const GoldenRun> runs,
                       const GoldenBounds& bounds, ModelRunner& runner,
                       CheckLog& log) {
  for (size_t i = 0; i < runs.size(); ++i) {
    const GoldenRun& run = runs[i];
    const std::string name =
        absl::StrCat(list, "[", i, "].", run.name.empty() ? "run" : run.name);
    PaddedTokens prompt = PromptOf(run, runner.config());
    CheckLayout(name, run, prompt, log);
    if (!run.padded_prompt.empty()) prompt.ids = run.padded_prompt;
    if (!run.padded_mask.empty()) prompt.mask = run.padded_mask;
    ASSIGN_OR_RETURN(
        const std::vector<GreedyResult> results,
        runner.Generate({prompt}, static_cast<int>(run.prompt.size()),
                        run.max_length));
    CheckResult(name, run, results[0], bounds, log);
  }
  return absl::OkStatus();
}

absl::Status CheckBatches(absl::Span<const GoldenBatch> batches,
                          const GoldenBounds& bounds, ModelRunner& runner,
                          CheckLog& log) {
  for (size_t i = 0; i < batches.size(); ++i) {
    const GoldenBatch& batch = batches[i];
    const std::string list =
        absl::StrCat("generate_batch[", i, "].", batch.name);
    std::vector<PaddedTokens> prompts;
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      prompts.push_back({batch.padded_ids[row], batch.padded_mask[row]});
    }
    ASSIGN_OR_RETURN(
        const std::vector<GreedyResult> results,
        runner.Generate(prompts, batch.row_length, batch.max_length));
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      const std::string name = absl::StrCat(list, ".rows[", row, "]");
      const GoldenBatchRow& expected = batch.rows[row];
      CheckResult(name, expected.run, results[row], bounds, log);
      if (!expected.alone.has_value()) continue;
      const GoldenRun& alone = *expected.alone;
      ASSIGN_OR_RETURN(const std::vector<GreedyResult> by_itself,
                       runner.Generate({PromptOf(alone, runner.config())},
                                       static_cast<int>(alone.prompt.size()),
                                       alone.max_length));
      CheckResult(name + ".alone", alone, by_itself[0], bounds, log);
      if (bounds.exact) {
        CheckRowAgainstAlone(name, expected, results[row], by_itself[0], log);
      }
    }
  }
  return absl::OkStatus();
}

void CheckNoRoom(absl::Span<const GoldenRun> runs, ModelRunner& runner,
                 CheckLog& log) {
  for (size_t i = 0; i < runs.size(); ++i) {
    const GoldenRun& run = runs[i];
    const std::string name = absl::StrCat("no_room[", i, "]");
    const auto results =
        runner.Generate({PromptOf(run, runner.config())},
                        static_cast<int>(run.prompt.size()), run.max_length);
    if (!absl::IsInvalidArgument(results.status())) {
      log.Fail(
          name, "a refusal",
          results.ok() ? "tokens" : std::string(results.status().message()),
          absl::StrFormat("max_length %d with %d prompt tokens", run.max_length,
                          run.prompt.size()));
    } else {
      log.Pass(name, std::string(results.status().message()));
    }
  }
}

}  // namespace blockserve
