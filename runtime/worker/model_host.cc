#include "runtime/worker/model_host.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/worker/available_memory.h"
#include "runtime/worker/kv_cache_plan.h"

namespace blockserve {
namespace {

double MiB(int64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(1 << 20);
}

// Half of what is left beside the weights, which may be twice as large in
// memory as in the file.
absl::StatusOr<int64_t> MemoryForKvCache(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint,
                   Checkpoint::Open(directory));
  return (AvailableMemoryBytes() - 2 * checkpoint->total_bytes()) / 2;
}

KvCacheNeeds NeedsOf(const ModelConfig& config, const ModelHostOptions& options,
                     size_t page_bytes) {
  return {.tokens_per_unit = config.tokens_per_step(),
          .max_sequences = options.max_batch_size,
          .max_context_tokens = options.max_context,
          .bytes_per_page = static_cast<int64_t>(page_bytes)};
}

absl::StatusOr<ModelOptions> ModelOptionsFor(const ModelHostOptions& options,
                                             const KvCacheNeeds& needs) {
  std::optional<int64_t> requested_bytes;
  if (options.kv_cache_bytes > 0) requested_bytes = options.kv_cache_bytes;
  ASSIGN_OR_RETURN(const int64_t available_bytes,
                   MemoryForKvCache(options.model));
  ASSIGN_OR_RETURN(const KvCachePlan plan,
                   PlanKvCache(needs, requested_bytes, available_bytes));
  ModelOptions model_options;
  model_options.prefix_positions = options.prefix_positions;
  ModelLimits& limits = model_options.limits;
  limits.max_rows_per_step = options.max_batch_size;
  limits.max_sequences_per_step = options.max_batch_size;
  // A full batch leaves room for prompts.
  limits.max_units_per_step =
      options.max_batch_size + options.max_prefill_units;
  limits.max_units_per_sequence = needs.MaxUnits();
  limits.num_pages = plan.num_pages;
  return model_options;
}

ModelReport MakeReport(const Model& model, const Ops& ops,
                       const ModelHostOptions& options,
                       const KvCacheNeeds& needs) {
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
  for (const int share : {1, 2, 4, 8}) {
    const int num_tokens = std::max(1, options.max_context / share);
    report.capacity.emplace_back(num_tokens,
                                 report.num_pages / needs.PagesFor(num_tokens));
  }
  return report;
}

// One step over one unit, so that what a backend makes on first use (oneDNN's
// primitives: some 0.3 s) is there before the first request. The page it writes
// to belongs to nobody yet.
absl::Status WarmUp(Model& model) {
  const std::vector<int32_t> tokens(model.tokens_per_step(), 0);
  const std::vector<int32_t> pages = {0};
  SequenceChunk chunk;
  chunk.tokens = tokens;
  chunk.pages = pages;
  chunk.num_outputs = 1;
  const DecodeRow row;  // greedy
  return model
      .Step({.chunks = absl::MakeConstSpan(&chunk, 1),
             .rows = absl::MakeConstSpan(&row, 1),
             .num_tokens = model.tokens_per_step()})
      .status();
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
  absl::StrAppend(&text, "           holds");
  for (size_t i = 0; i < capacity.size(); ++i) {
    absl::StrAppendFormat(
        &text, i == 0 ? " %d sequences of %d tokens" : ", or %d of %d",
        capacity[i].second, capacity[i].first);
  }
  absl::StrAppendFormat(&text, "; %d run at once\n", max_batch_size);
  absl::StrAppendFormat(&text, "scratch    %.1f MiB for %d running sequences\n",
                        MiB(scratch_bytes), max_batch_size);
  absl::StrAppendFormat(&text, "loaded in  %s",
                        absl::FormatDuration(load_time));
  return text;
}

absl::StatusOr<HostedModel> HostModel(
    const ModelHostOptions& options, EngineObserver observer,
    std::function<void(int64_t, int64_t)> progress) {
  const absl::Time start = MonotonicNow();
  HostedModel hosted;
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(options.model));
  ASSIGN_OR_RETURN(hosted.ops, CreateBackend(options.backend));

  const KvCacheNeeds needs =
      NeedsOf(config, options, KvBytesPerPage(config, kRankAlone, *hosted.ops));
  ASSIGN_OR_RETURN(const ModelOptions model_options,
                   ModelOptionsFor(options, needs));
  ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                   LoadModel(options.model, model_options, *hosted.ops,
                             std::move(progress)));
  RETURN_IF_ERROR(WarmUp(*model));
  hosted.report = MakeReport(*model, *hosted.ops, options, needs);
  hosted.report.load_time = MonotonicNow() - start;

  EngineOptions engine_options;
  engine_options.max_context_tokens = options.max_context;
  engine_options.max_waiting_requests = options.max_waiting_requests;
  engine_options.max_waiting_prompt_tokens = options.max_waiting_prompt_tokens;
  hosted.engine =
      Engine::Create(std::move(model), engine_options, std::move(observer));
  return hosted;
}

}  // namespace blockserve
