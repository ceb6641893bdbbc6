#include "runtime/worker/model_host.h"

#include <glog/logging.h>

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
absl::StatusOr<int64_t> MemoryForKvCache(const std::string& directory,
                                         Ops& ops) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint,
                   Checkpoint::Open(directory));
  const int64_t available =
      ops.FreeDeviceBytes().value_or(AvailableMemoryBytes());
  return (available - 2 * checkpoint->total_bytes()) / 2;
}

KvCacheNeeds NeedsOf(const ModelConfig& config, const ModelHostOptions& options,
                     size_t page_bytes) {
  return {.tokens_per_unit = config.tokens_per_step(),
          .max_sequences = options.max_batch_size,
          .max_context_tokens = options.max_context,
          .bytes_per_page = static_cast<int64_t>(page_bytes)};
}

// Of a rank without heads a page takes no memory.
absl::StatusOr<int> AffordablePages(const ModelHostOptions& options,
                                    const KvCacheNeeds& needs, Ops& ops) {
  std::optional<int64_t> requested_bytes;
  if (options.kv_cache_bytes > 0) requested_bytes = options.kv_cache_bytes;
  ASSIGN_OR_RETURN(const int64_t available_bytes,
                   MemoryForKvCache(options.model, ops));
  ASSIGN_OR_RETURN(const KvCachePlan plan,
                   PlanKvCache(needs, requested_bytes, available_bytes));
  return plan.num_pages;
}

ModelLimits LimitsFor(const ModelHostOptions& options,
                      const KvCacheNeeds& needs, int num_pages) {
  ModelLimits limits;
  limits.max_rows_per_step = options.max_batch_size;
  limits.max_sequences_per_step = options.max_batch_size;
  // A full batch leaves room for prompts.
  limits.max_units_per_step =
      options.max_batch_size + options.max_prefill_units;
  limits.max_units_per_sequence = needs.MaxUnits();
  limits.num_pages = num_pages;
  return limits;
}

ModelReport MakeReport(const Model& model, const Ops& ops,
                       const RankSetup& setup) {
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
  report.max_batch_size = setup.limits.max_rows_per_step;
  report.max_context = setup.max_context;
  const KvCacheNeeds needs = {.tokens_per_unit = config.tokens_per_step()};
  for (const int share : {1, 2, 4, 8}) {
    const int num_tokens = std::max(1, setup.max_context / share);
    report.capacity.emplace_back(num_tokens,
                                 report.num_pages / needs.PagesFor(num_tokens));
  }
  return report;
}

}  // namespace

std::string ModelReport::ToText() const {
  std::string text;
  if (world_size > 1) {
    absl::StrAppendFormat(&text,
                          "rank       %d of %d: sizes are of this rank\n", rank,
                          world_size);
  }
  absl::StrAppendFormat(
      &text, "model      %s, %.2f M parameters, %.1f MiB in memory as %s\n",
      family, static_cast<double>(num_parameters) * 1e-6, MiB(weight_bytes),
      dtype);
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
  absl::StrAppendFormat(&text, "loaded in  %s, %.1f of %.1f MiB read",
                        absl::FormatDuration(load_time), MiB(bytes_read),
                        MiB(bytes_stored));
  return text;
}

absl::StatusOr<std::unique_ptr<ModelHost>> ModelHost::Prepare(
    const ModelHostOptions& options, const RankGroup& group) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(options.model));
  std::unique_ptr<ModelHost> host(new ModelHost(options, group, config));
  BackendOptions backend = options.backend;
  backend.rank = group.rank;
  ASSIGN_OR_RETURN(host->ops_, CreateBackend(backend));
  const KvCacheNeeds needs =
      NeedsOf(config, options,
              std::max<size_t>(1, KvBytesPerPage(config, group, *host->ops_)));
  ASSIGN_OR_RETURN(const int num_pages,
                   AffordablePages(options, needs, *host->ops_));
  host->offer_ = {
      .backend = std::string(host->ops_->name()),
      .dtype = std::string(NameOf(host->ops_->dtype())),
      .limits = LimitsFor(options, needs, num_pages),
      .prefix_positions = options.prefix_positions == PrefixPositions::kForward
                              ? "forward"
                              : "reference_generate",
      .max_context = options.max_context};
  return host;
}

RankSetup ModelHost::Offer() const { return offer_; }

absl::Status ModelHost::Load(const RankSetup& agreed,
                             std::function<void(int64_t, int64_t)> progress) {
  CHECK(!is_loaded());
  const absl::Time start = MonotonicNow();
  ModelOptions options;
  options.group = &group_;
  options.limits = agreed.limits;
  options.prefix_positions = agreed.prefix_positions == "forward"
                                 ? PrefixPositions::kForward
                                 : PrefixPositions::kReferenceGenerate;
  int64_t bytes_read = 0;
  int64_t bytes_stored = 0;
  ASSIGN_OR_RETURN(model_, LoadModel(options_.model, options, *ops_,
                                     [&](int64_t read, int64_t stored) {
                                       bytes_read = read;
                                       bytes_stored = stored;
                                       if (progress) progress(read, stored);
                                     }));
  offer_ = agreed;
  offer_.is_loaded = true;
  report_ = MakeReport(*model_, *ops_, agreed);
  report_.rank = group_.rank;
  report_.world_size = group_.size;
  report_.bytes_read = bytes_read;
  report_.bytes_stored = bytes_stored;
  report_.load_time = MonotonicNow() - start;
  return absl::OkStatus();
}

absl::Status ModelHost::WarmUp() {
  const std::vector<int32_t> tokens(model_->tokens_per_step(), 0);
  const std::vector<int32_t> pages = {0};
  SequenceChunk chunk;
  chunk.tokens = tokens;
  chunk.pages = pages;
  chunk.num_outputs = 1;
  const DecodeRow row;  // greedy
  return model_
      ->Step({.chunks = absl::MakeConstSpan(&chunk, 1),
              .rows = absl::MakeConstSpan(&row, 1),
              .num_tokens = model_->tokens_per_step()})
      .status();
}

EngineOptions ModelHost::engine_options() const {
  EngineOptions options;
  options.max_context_tokens = offer_.max_context;
  options.max_waiting_requests = options_.max_waiting_requests;
  options.max_waiting_prompt_tokens = options_.max_waiting_prompt_tokens;
  return options;
}

}  // namespace blockserve
