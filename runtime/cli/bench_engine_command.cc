// blockserve bench engine: speed of the engine in this process.
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/bench/engine_benchmark.h"
#include "runtime/bench/engine_report.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

constexpr char kAuto[] = "auto";

struct BenchEngineFlags {
  EngineBenchOptions options;
  std::string batch = "64";
  std::string phases = "on";
  std::string json;
  std::string label;
};

// The flags that say what was measured, as they would be given again.
std::string CommandOf(const BenchEngineFlags& flags) {
  const EngineBenchOptions& options = flags.options;
  std::string command = "blockserve bench engine";
  if (options.random.empty()) {
    absl::StrAppend(&command, " --model=", options.model);
  } else {
    absl::StrAppend(&command, " --random=", options.random);
  }
  absl::StrAppend(&command, " --prefill=", options.prefill,
                  " --decode=", options.decode, " --batch=", flags.batch,
                  " --dtype=", options.backend.dtype,
                  " --ranks=", options.num_ranks,
                  " --threads=", options.backend.num_threads,
                  " --repeat=", options.repeat, " --seed=", options.seed,
                  " --max_prefill_units=", options.max_prefill_units);
  if (options.backend.backend != "cpu") {
    absl::StrAppend(&command, " --backend=", options.backend.backend);
  }
  if (options.memory_limit > 0) {
    absl::StrAppend(&command, " --memory_limit=", options.memory_limit);
  }
  return command;
}

int BenchEngine(BenchEngineFlags flags) {
  flags.options.phases = flags.phases == "on";
  if (flags.batch == kAuto) {
    flags.options.batch = 0;
  } else if (!absl::SimpleAtoi(flags.batch, &flags.options.batch) ||
             flags.options.batch < 1) {
    return ReportBadFlag(
        absl::StrCat("--batch: expected a number from 1 on, or auto, got \"",
                     flags.batch, "\""));
  }
  // Before minutes of work that would have nowhere to go.
  std::ofstream json;
  if (!flags.json.empty()) {
    json.open(flags.json);
    if (!json) {
      return ReportBadFlag(
          absl::StrCat("--json: cannot write to ", flags.json));
    }
  }
  const auto report = RunEngineBenchmark(
      flags.options,
      [](std::string_view what) { std::cerr << "bench: " << what << "\n"; });
  if (!report.ok()) {
    const int exit_code = ReportError(report.status());
    // A batch that does not fit is a matter of flags.
    return absl::IsResourceExhausted(report.status()) ? kExitBadInput
                                                      : exit_code;
  }
  const RunContext context = {.command = CommandOf(flags),
                              .label = flags.label,
                              .date = absl::Now(),
                              .cpu = CpuName()};
  std::cout << ToTable(*report, context) << std::flush;
  if (!flags.json.empty()) {
    json << ToJson(*report, context) << std::flush;
    if (!json) {
      return ReportError(
          absl::InternalError(absl::StrCat("cannot write to ", flags.json)));
    }
  }
  return kExitOk;
}

void AddModelFlags(CLI::App& command, EngineBenchOptions& options) {
  CLI::Option* model =
      command.add_option("--model", options.model, "Directory of a checkpoint");
  CLI::Option* random = command.add_option(
      "--random", options.random,
      "A published configuration with random weights: block_main_b4_5, _19, "
      "_85, _300, _800, _1.2b, block_megabyte_b4_5, _19, _85, vanilla_31, _70, "
      "_160, _410");
  random->excludes(model);
  command
      .add_option("--backend", options.backend.backend,
                  "cpu, reference or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "reference", "cuda"}));
  command
      .add_option("--dtype", options.backend.dtype,
                  "auto (bf16 where the CPU has it), fp32 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}));
  command
      .add_option("--ranks", options.num_ranks,
                  "Ranks that share the model, each a thread of this process")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command
      .add_option("--threads", options.backend.num_threads,
                  "Threads per rank; 0: the cores dealt evenly")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command
      .add_option("--memory_limit", options.memory_limit,
                  "For weights, KV cache and scratch, as 8GiB; 0: three "
                  "quarters of what this process may still take")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
}

void AddProtocolFlags(CLI::App& command, BenchEngineFlags& flags) {
  EngineBenchOptions& options = flags.options;
  command
      .add_option("--prefill", options.prefill,
                  "Prompt tokens of a sequence (prefill-heavy: 2048)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command
      .add_option("--decode", options.decode,
                  "New tokens of a sequence (prefill-heavy: 128)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command
      .add_option("--batch", flags.batch,
                  "Sequences at once; auto: the most that fit in memory")
      ->capture_default_str();
  command
      .add_option("--max_prefill_units", options.max_prefill_units,
                  "Prompt blocks a step (tokens of a vanilla model)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command
      .add_option("--repeat", options.repeat,
                  "Runs; the median counts, after a warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command.add_option("--seed", options.seed, "Of prompts and random weights")
      ->capture_default_str();
}

}  // namespace

void AddBenchEngineCommand(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<BenchEngineFlags>();
  CLI::App* command = bench.add_subcommand(
      "engine",
      "Tokens a second of the engine alone, by the authors' protocol: random "
      "prompts, no early end, prompts counted in");
  AddModelFlags(*command, flags->options);
  AddProtocolFlags(*command, *flags);
  command
      ->add_option("--phases", flags->phases,
                   "on: one more run that says where the time goes; off")
      ->capture_default_str()
      ->check(CLI::IsMember({"on", "off"}));
  command
      ->add_option("--bandwidth_bytes", flags->options.bandwidth_bytes,
                   "Read to measure the bandwidth of memory")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  command->add_option("--json", flags->json, "File for one JSON object");
  command->add_option("--label", flags->label,
                      "Kept in the report: a commit, a machine");
  command->callback([flags, &exit_code] { exit_code = BenchEngine(*flags); });
}

}  // namespace blockserve
