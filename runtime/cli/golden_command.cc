// blockserve golden: checks a directory of golden vectors.
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/golden/golden_case.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

struct GoldenFlags {
  std::string directory;
  GoldenOptions options;
};

int Golden(const GoldenFlags& flags) {
  const absl::StatusOr<GoldenResult> result =
      RunGoldenCase(flags.directory, flags.options, std::cout);
  if (!result.ok()) return ReportError(result.status());
  std::cout << absl::StrFormat("golden: %d passed, %d failed\n", result->passed,
                               result->failed);
  return result->failed == 0 && result->passed > 0 ? kExitOk : kExitFailure;
}

}  // namespace

void AddGoldenCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<GoldenFlags>();
  CLI::App* command = app.add_subcommand(
      "golden", "Check a directory of golden vectors against this build");
  command
      ->add_option("--case", flags->directory,
                   "Directory with a checkpoint and cases.json")
      ->required();
  command
      ->add_option("--backend", flags->options.backend,
                   "cpu, reference or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "reference", "cuda"}));
  command->add_option("--dtype", flags->options.dtype, "fp32 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command
      ->add_option("--ranks", flags->options.num_ranks,
                   "Ranks that share the model, each a thread of this process")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command->callback([flags, &exit_code] { exit_code = Golden(*flags); });
}

}  // namespace blockserve
