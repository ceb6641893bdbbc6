// blockserve plan: what GPUs could serve of a model, by arithmetic.
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/config/published_models.h"
#include "runtime/plan/gpu_spec.h"
#include "runtime/plan/plan_report.h"
#include "runtime/plan/serving_plan.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

struct PlanFlags {
  PlanOptions options;
  std::string model;
  std::string random;
  std::string gpu = "h100";
  std::string sampling = "apart";
  std::string json;
};

absl::StatusOr<ModelConfig> ConfigOf(const PlanFlags& flags) {
  if (!flags.random.empty()) return PublishedModelConfig(flags.random);
  if (!flags.model.empty()) return ReadModelConfig(flags.model);
  return absl::InvalidArgumentError("expected --model or --random");
}

absl::Status Plan(PlanFlags flags) {
  PlanOptions& options = flags.options;
  options.assumptions.fuses_sampling = flags.sampling == "fused";
  ASSIGN_OR_RETURN(options.assumptions.gpu, FindGpu(flags.gpu));
  ASSIGN_OR_RETURN(const ModelConfig config, ConfigOf(flags));
  ASSIGN_OR_RETURN(const ServingPlan plan, MakeServingPlan(config, options));
  std::cout << PlanToTable(plan, config, options) << std::flush;
  if (flags.json.empty()) return absl::OkStatus();
  std::ofstream json(flags.json);
  json << PlanToJson(plan, config, options) << std::flush;
  if (json) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--json: cannot write to ", flags.json));
}

void AddAssumptionFlags(CLI::App& command, PlanFlags& flags) {
  PlanAssumptions& assumptions = flags.options.assumptions;
  command
      .add_option("--efficiency", assumptions.efficiency,
                  "Share of the datasheet's peaks that is reached")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1.0));
  command
      .add_option("--launch_us", assumptions.launch_seconds,
                  "Microseconds that a kernel costs beside its work")
      ->default_str("2")
      ->transform([](const std::string& text) {
        double microseconds = 0;
        if (!CLI::detail::lexical_cast(text, microseconds) ||
            microseconds < 0) {
          throw CLI::ValidationError(
              "--launch_us", "expected microseconds from 0 on, got " + text);
        }
        return absl::StrCat(microseconds * 1e-6);
      });
  command
      .add_option("--sampling", flags.sampling,
                  "apart: logits go through memory; fused: they do not")
      ->capture_default_str()
      ->check(CLI::IsMember({"apart", "fused"}));
}

}  // namespace

void AddPlanCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand(
      "plan",
      "What GPUs could serve of a model: memory of each rank, the batch that "
      "fits, tokens a second and what bounds them, as replicas, tensor "
      "parallel and in between. Computed from datasheets; needs no GPU");
  CLI::Option* model =
      command->add_option("--model", flags->model, "Directory of a checkpoint");
  command
      ->add_option("--random", flags->random,
                   "A published configuration: block_main_b4_5, _19, _85, "
                   "_300, _800, _1.2b, block_megabyte_b4_5, _19, _85, "
                   "vanilla_31, _70, _160, _410")
      ->excludes(model);
  command->add_option("--gpu", flags->gpu, "a100, l40s, h100, h200 or b200")
      ->capture_default_str();
  command
      ->add_option("--gpus", flags->options.num_gpus, "How many, in one host")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command
      ->add_option("--prefill", flags->options.prompt_tokens,
                   "Prompt tokens of a sequence (prefill-heavy: 2048)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command
      ->add_option("--decode", flags->options.new_tokens,
                   "New tokens of a sequence (prefill-heavy: 128)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  AddAssumptionFlags(*command, *flags);
  command->add_option("--json", flags->json, "File for one JSON object");
  command->callback([flags, &exit_code] {
    const absl::Status status = Plan(*flags);
    exit_code = status.ok() ? kExitOk : ReportError(status);
  });
}

}  // namespace blockserve
