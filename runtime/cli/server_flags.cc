#include "runtime/cli/server_flags.h"

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

constexpr int kMaxWorldSize = 64;  // as of blockserve_worker --world_size

}  // namespace

void AddServerFlags(CLI::App& command, ServerFlags& flags, bool required) {
  CLI::Option* model = command.add_option(
      "--model", flags.model,
      "Directory with config.yaml or config.json, weights, tokenizer.json");
  if (required) model->required();
  command.add_option("--backend", flags.backend, "cpu, reference or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "reference", "cuda"}));
  command
      .add_option("--dtype", flags.dtype,
                  "auto (bf16 where the CPU has it), fp32 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}));
  command
      .add_option("--tensor_parallel_size", flags.world_size,
                  "Ranks (processes) that share one copy of the model")
      ->capture_default_str()
      ->check(CLI::Range(1, kMaxWorldSize));
  command
      .add_option("--threads", flags.num_threads,
                  "Threads per rank; 0: the cores dealt evenly")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command
      .add_option("--max_batch_size", flags.max_batch_size,
                  "Sequences a group of ranks runs at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  command
      .add_option("--max_context", flags.max_context,
                  "Largest prompt + max_tokens, in tokens")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command
      .add_option("--prefix_positions", flags.prefix_positions,
                  "forward: as the weights were trained; reference_generate: "
                  "as the authors' generate()")
      ->capture_default_str()
      ->check(CLI::IsMember({"forward", "reference_generate"}));
}

ServerProcessesOptions ToProcessesOptions(const ServerFlags& flags) {
  ServerProcessesOptions options;
  options.model = flags.model;
  options.world_size = flags.world_size;
  options.num_threads = flags.num_threads;
  options.wants_cuda = flags.backend == "cuda";
  options.worker_flags = {
      absl::StrCat("--backend=", flags.backend),
      absl::StrCat("--dtype=", flags.dtype),
      absl::StrCat("--max_batch_size=", flags.max_batch_size),
      absl::StrCat("--max_context=", flags.max_context),
      absl::StrCat("--prefix_positions=", flags.prefix_positions),
  };
  return options;
}

}  // namespace blockserve
