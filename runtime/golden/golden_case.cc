#include "runtime/golden/golden_case.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/golden/check_log.h"
#include "runtime/golden/generation_checks.h"
#include "runtime/golden/golden_bounds.h"
#include "runtime/golden/golden_cases.h"
#include "runtime/golden/golden_tensors.h"
#include "runtime/golden/json_fields.h"
#include "runtime/golden/model_runner.h"
#include "runtime/golden/score_checks.h"
#include "runtime/golden/tensor_checks.h"

namespace blockserve {
namespace {

constexpr size_t kMaxCasesBytes = 256 << 20;
constexpr int kMaxUnits = 1 << 15;

absl::Status CheckOptions(const GoldenOptions& options) {
  if (options.dtype != "fp32" && options.dtype != "bf16") {
    return absl::InvalidArgumentError(absl::StrCat(
        "dtype: expected fp32 or bf16, got \"", options.dtype, "\""));
  }
  return absl::OkStatus();
}

// The file's own statements about the model must agree with its configuration.
void CheckConfig(const GoldenCases& cases, const ModelConfig& config,
                 CheckLog& log) {
  const bool is_vanilla = config.family == ModelFamily::kVanilla;
  log.ExpectEqual("config.kind", cases.kind,
                  is_vanilla ? "vanilla" : "block_transformer");
  if (cases.block_length.has_value()) {
    log.ExpectEqual("config.block_length", absl::StrCat(*cases.block_length),
                    absl::StrCat(config.block_length));
  }
  if (cases.vocab_size.has_value()) {
    log.ExpectEqual("config.vocab_size", absl::StrCat(*cases.vocab_size),
                    absl::StrCat(config.vocab_size));
  }
  if (cases.generate_positions_equal_forward.has_value()) {
    const bool equal = config.strategy != DecodingStrategy::kPrefix ||
                       config.expansion_ratio == 1;
    log.ExpectEqual("config.generate_positions_equal_forward",
                    *cases.generate_positions_equal_forward ? "true" : "false",
                    equal ? "true" : "false");
  }
  const SpecialTokens& special = config.special;
  std::vector<std::pair<std::string, int>> known = {
      {"bos_token_id", special.bos},
      {"eos_token_id", special.eos},
      {"fill_token_id", special.fill},
      {"finished_row_pad_token_id", special.finished_row_pad},
      {"prompt_pad_token_id", special.prompt_pad}};
  if (config.embedder.pad_token_id.has_value()) {
    known.emplace_back("embedder_pad_token_id", *config.embedder.pad_token_id);
  }
  for (const auto& [name, id] : known) {
    const auto expected = cases.special.find(name);
    if (expected == cases.special.end()) continue;
    log.ExpectEqual("config.special." + name, absl::StrCat(expected->second),
                    absl::StrCat(id));
  }
}

// Room for everything that the files ask for.
absl::StatusOr<RunnerLimits> LimitsFor(
    const GoldenCases& cases, const std::optional<GoldenTensors>& tensors,
    const ModelConfig& config) {
  int64_t num_tokens = 1;
  size_t num_sequences = 1;
  const auto add_run = [&](const GoldenRun& run) {
    num_tokens =
        std::max<int64_t>({num_tokens, run.max_length,
                           static_cast<int64_t>(run.prompt.size()) +
                               static_cast<int64_t>(run.generated.size())});
  };
  for (const GoldenRun& run : cases.generate) add_run(run);
  for (const GoldenRun& run : cases.generate_forward_positions) add_run(run);
  for (const GoldenBatch& batch : cases.generate_batch) {
    num_sequences = std::max(num_sequences, batch.rows.size());
    num_tokens = std::max<int64_t>(num_tokens, batch.max_length);
  }
  for (const GoldenScore& score : cases.score) {
    num_tokens = std::max<int64_t>(
        {num_tokens, static_cast<int64_t>(score.input_blocks.size()),
         static_cast<int64_t>(score.context.size() + score.continuation.size()),
         score.batch_width.value_or(0)});
  }
  if (tensors.has_value()) {
    for (const auto& [name, tensor] : tensors->tensors) {
      num_tokens = std::max<int64_t>(
          num_tokens, 2 * static_cast<int64_t>(tensor.integers.size()));
    }
  }
  // Padding in front and behind.
  const int64_t num_units = num_tokens / config.block_length + 4;
  if (num_units > kMaxUnits || num_sequences > 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("cases.json: expected at most ", kMaxUnits,
                     " blocks a sequence and 4096 rows a batch, got ",
                     num_units, " and ", num_sequences));
  }
  RunnerLimits limits;
  limits.max_sequences = static_cast<int>(num_sequences);
  limits.max_units_per_sequence = static_cast<int>(num_units);
  // A learned position table is not to be outgrown.
  const TrunkConfig& trunk = config.cached_trunk();
  if (trunk.kind == TrunkKind::kGptNeo) {
    limits.max_units_per_sequence =
        std::min(limits.max_units_per_sequence, trunk.max_positions);
  }
  return limits;
}

// One case with the models it needs, each loaded when first asked for.
class GoldenCase {
 public:
  GoldenCase(std::string directory, const GoldenOptions& options,
             const ModelConfig& config, const RunnerLimits& limits,
             CheckLog& log)
      : directory_(std::move(directory)),
        options_(options),
        limits_(limits),
        bounds_(BoundsFor(config, options.dtype)),
        log_(log) {}

  absl::Status CheckGeneration(const GoldenCases& cases) {
    ASSIGN_OR_RETURN(const auto forward, Load(PrefixPositions::kForward));
    RETURN_IF_ERROR(CheckRuns("generate_forward_positions",
                              cases.generate_forward_positions, bounds_,
                              *forward, log_));
    RETURN_IF_ERROR(CheckScores(cases.score, bounds_, *forward, log_));
    ASSIGN_OR_RETURN(const auto generate,
                     Load(PrefixPositions::kReferenceGenerate));
    RETURN_IF_ERROR(
        CheckRuns("generate", cases.generate, bounds_, *generate, log_));
    RETURN_IF_ERROR(
        CheckBatches(cases.generate_batch, bounds_, *generate, log_));
    CheckNoRoom(cases.no_room, *generate, log_);
    return absl::OkStatus();
  }

  absl::Status CheckIntermediates(const GoldenTensors& tensors) {
    TensorRecorder forward_recorder;
    TensorRecorder generate_recorder;
    ASSIGN_OR_RETURN(const auto forward,
                     Load(PrefixPositions::kForward, &forward_recorder));
    ASSIGN_OR_RETURN(
        const auto generate,
        Load(PrefixPositions::kReferenceGenerate, &generate_recorder));
    return CheckTensors(tensors, bounds_, {forward.get(), &forward_recorder},
                        {generate.get(), &generate_recorder}, log_);
  }

  // The runs that bf16.json tells of, against fp32 of this build.
  absl::Status CheckLowerPrecision(const GoldenCases& cases,
                                   const std::set<std::string>& names) {
    std::vector<GoldenRun> runs;
    for (const GoldenRun& run : cases.generate_forward_positions) {
      if (names.count(run.name) > 0) runs.push_back(run);
    }
    TensorRecorder exact_recorder;
    TensorRecorder lower_recorder;
    ASSIGN_OR_RETURN(const auto exact,
                     ModelRunner::Create(directory_, Backend("fp32"),
                                         PrefixPositions::kForward, limits_,
                                         &exact_recorder));
    ASSIGN_OR_RETURN(const auto lower,
                     Load(PrefixPositions::kForward, &lower_recorder));
    return CheckLogitsAgainst(runs, bounds_, {exact.get(), &exact_recorder},
                              {lower.get(), &lower_recorder}, log_);
  }

 private:
  absl::StatusOr<std::unique_ptr<ModelRunner>> Load(
      PrefixPositions positions, TensorRecorder* recorder = nullptr) {
    return ModelRunner::Create(directory_, Backend(options_.dtype), positions,
                               limits_, recorder);
  }

  RunnerBackend Backend(const std::string& dtype) const {
    return {.name = options_.backend,
            .dtype = dtype,
            .num_ranks = options_.num_ranks,
            .devices = options_.devices};
  }

  const std::string directory_;
  const GoldenOptions options_;
  const RunnerLimits limits_;
  const GoldenBounds bounds_;
  CheckLog& log_;
};

absl::StatusOr<std::optional<GoldenTensors>> ReadTensors(
    const std::string& directory) {
  auto tensors =
      ReadGoldenTensors(absl::StrCat(directory, "/tensors.safetensors"));
  if (absl::IsNotFound(tensors.status())) return std::nullopt;
  if (!tensors.ok()) return tensors.status();
  return *std::move(tensors);
}

// The names of the runs in bf16.json; none without the file.
absl::StatusOr<std::set<std::string>> ReadLowerPrecisionNames(
    const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/bf16.json");
  const auto text = ReadFile(path, kMaxCasesBytes);
  if (absl::IsNotFound(text.status())) return std::set<std::string>();
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(const nlohmann::json value, ParseJson(*text, path));
  ASSIGN_OR_RETURN(const JsonFields root, JsonFields::Create(value, path));
  ASSIGN_OR_RETURN(const auto runs, root.Objects("runs"));
  std::set<std::string> names;
  for (const JsonFields& run : runs) {
    ASSIGN_OR_RETURN(std::string name, run.Text("name"));
    names.insert(std::move(name));
  }
  return names;
}

}  // namespace

absl::StatusOr<GoldenResult> RunGoldenCase(const std::string& directory,
                                           const GoldenOptions& options,
                                           std::ostream& out) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(directory));
  const std::string cases_path = absl::StrCat(directory, "/cases.json");
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFile(cases_path, kMaxCasesBytes));
  ASSIGN_OR_RETURN(const GoldenCases cases,
                   ParseGoldenCases(text, cases_path, config));
  ASSIGN_OR_RETURN(const std::optional<GoldenTensors> tensors,
                   ReadTensors(directory));
  ASSIGN_OR_RETURN(const RunnerLimits limits,
                   LimitsFor(cases, tensors, config));

  CheckLog log(out);
  CheckConfig(cases, config, log);
  RETURN_IF_ERROR(CheckScoreLayouts(cases.score, config, log));
  GoldenCase golden(directory, options, config, limits, log);
  RETURN_IF_ERROR(golden.CheckGeneration(cases));
  const bool has_all_ranks = options.devices.only_rank < 0;
  if (tensors.has_value() && has_all_ranks) {
    RETURN_IF_ERROR(golden.CheckIntermediates(*tensors));
  }
  if (options.dtype == "bf16" && has_all_ranks) {
    ASSIGN_OR_RETURN(const std::set<std::string> names,
                     ReadLowerPrecisionNames(directory));
    if (!names.empty()) {
      RETURN_IF_ERROR(golden.CheckLowerPrecision(cases, names));
    }
  }
  GoldenResult result;
  result.passed = log.passed();
  result.failed = log.failed();
  return result;
}

}  // namespace blockserve
