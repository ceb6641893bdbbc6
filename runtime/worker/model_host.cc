#include "runtime/worker/model_host.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"

namespace blockserve {
namespace {

// The rest is for weights, scratch, and whoever else runs here.
constexpr double kKvShareOfFreeMemory = 0.4;
// More pages than any machine holds would only overflow counts.
constexpr int64_t kMaxPages = 1 << 26;

int64_t FreeMemoryBytes() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  int64_t kibibytes = 0;
  while (file >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes * 1024;
    std::getline(file, unit);
  }
  return int64_t{1} << 30;
}

int CeilDiv(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

double MiB(int64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(1 << 20);
}

absl::StatusOr<int> ChooseNumPages(const ModelHostOptions& options,
                                   int pages_per_sequence, int64_t page_bytes) {
  const int64_t wanted =
      int64_t{options.max_batch_size} * int64_t{pages_per_sequence};
  int64_t num_pages = 0;
  if (options.kv_cache_bytes > 0) {
    num_pages = options.kv_cache_bytes / page_bytes;
  } else {
    const double budget =
        kKvShareOfFreeMemory * static_cast<double>(FreeMemoryBytes());
    num_pages = std::min(wanted, static_cast<int64_t>(budget) / page_bytes);
  }
  if (num_pages < pages_per_sequence) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the KV cache holds %d pages of %d bytes, but one sequence of "
        "--max_context=%d tokens needs %d; give it --kv_cache_bytes=%d or more",
        num_pages, page_bytes, options.max_context, pages_per_sequence,
        page_bytes * pages_per_sequence));
  }
  return static_cast<int>(std::min(num_pages, kMaxPages));
}

ModelReport MakeReport(const Model& model, const Ops& ops,
                       const ModelHostOptions& options,
                       int pages_per_sequence) {
  ModelReport report;
  const ModelConfig& config = model.config();
  report.family =
      config.family == ModelFamily::kVanilla ? "vanilla" : "block_transformer";
  report.parts = model.parts();
  for (const PartSize& part : report.parts) {
    report.num_parameters += part.num_parameters;
    report.weight_bytes += part.num_bytes;
  }
  report.backend = std::string(ops.name());
  report.description = ops.Describe();
  report.dtype = std::string(NameOf(ops.dtype()));
  report.tokens_per_page = kPageLength * config.tokens_per_step();
  report.num_pages = model.limits().num_pages;
  report.page_bytes = static_cast<int64_t>(model.kv_bytes_per_page());
  report.scratch_bytes = static_cast<int64_t>(model.scratch_bytes());
  report.max_batch_size = options.max_batch_size;
  report.max_context = options.max_context;
  report.num_full_sequences = report.num_pages / pages_per_sequence;
  return report;
}

}  // namespace

std::string ModelReport::ToText() const {
  std::string text = absl::StrFormat(
      "model      %s, %.2f M parameters, %.1f MiB in memory as %s\n", family,
      static_cast<double>(num_parameters) * 1e-6, MiB(weight_bytes), dtype);
  for (const PartSize& part : parts) {
    absl::StrAppendFormat(&text, "  %-20s %10.3f M  %9.1f MiB\n", part.name,
                          static_cast<double>(part.num_parameters) * 1e-6,
                          MiB(part.num_bytes));
  }
  absl::StrAppendFormat(&text, "backend    %s\n", description);
  absl::StrAppendFormat(
      &text, "KV cache   %d pages of %d tokens, %.1f MiB (%.1f KiB a page)\n",
      num_pages, tokens_per_page, MiB(num_pages * page_bytes),
      static_cast<double>(page_bytes) / 1024);
  absl::StrAppendFormat(
      &text, "           holds %d sequences of %d tokens, or %d of 512\n",
      num_full_sequences, max_context,
      num_pages / std::max(1, CeilDiv(512, tokens_per_page)));
  absl::StrAppendFormat(&text, "scratch    %.1f MiB for %d running sequences\n",
                        MiB(scratch_bytes), max_batch_size);
  absl::StrAppendFormat(&text, "loaded in  %s",
                        absl::FormatDuration(load_time));
  return text;
}

absl::StatusOr<HostedModel> HostModel(
    const ModelHostOptions& options, EngineObserver observer,
    std::function<void(int64_t, int64_t)> progress) {
  const absl::Time start = absl::Now();
  HostedModel hosted;
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(options.model));
  ASSIGN_OR_RETURN(hosted.ops, CreateBackend(options.backend));

  const int units_per_sequence =
      CeilDiv(options.max_context, config.tokens_per_step()) + 1;
  const int pages_per_sequence = CeilDiv(units_per_sequence, kPageLength);
  ModelOptions model_options;
  model_options.prefix_positions = options.prefix_positions;
  ModelLimits& limits = model_options.limits;
  limits.max_rows_per_step = options.max_batch_size;
  limits.max_sequences_per_step = options.max_batch_size;
  limits.max_units_per_step =
      options.max_batch_size + options.max_prefill_units;
  limits.max_units_per_sequence = units_per_sequence;
  ASSIGN_OR_RETURN(limits.num_pages,
                   ChooseNumPages(options, pages_per_sequence,
                                  static_cast<int64_t>(
                                      KvBytesPerPage(config, *hosted.ops))));
  ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                   LoadModel(options.model, model_options, *hosted.ops,
                             std::move(progress)));
  hosted.report = MakeReport(*model, *hosted.ops, options, pages_per_sequence);
  hosted.report.load_time = absl::Now() - start;

  EngineOptions engine_options;
  engine_options.max_context_tokens = options.max_context;
  engine_options.max_waiting_requests = options.max_waiting_requests;
  engine_options.max_waiting_prompt_tokens = options.max_waiting_prompt_tokens;
  hosted.engine =
      Engine::Create(std::move(model), engine_options, std::move(observer));
  return hosted;
}

}  // namespace blockserve
