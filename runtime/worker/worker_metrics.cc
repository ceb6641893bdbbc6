#include "runtime/worker/worker_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/worker/error_reason.h"

namespace blockserve {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;
using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets& FirstTokenBuckets() {
  static const Buckets buckets = {.0005, .001, .002, .005, .01, .02, .04,
                                  .06,   .08,  .1,   .25,  .5,  .75, 1,
                                  2.5,   5,    10,   20,   40,  80,  160};
  return buckets;
}

const Buckets& TokenBuckets() {
  static const Buckets buckets = {.00005, .0001, .0002, .0005, .001, .002, .004,
                                  .006,   .008,  .01,   .015,  .02,  .03,  .04,
                                  .06,    .08,   .1,    .2,    .5,   1,    2.5};
  return buckets;
}

const Buckets& RequestBuckets() {
  static const Buckets buckets = {.01, .025, .05, .1,  .2,  .3, .5,
                                  .8,  1,    1.5, 2.5, 5,   10, 20,
                                  30,  60,   120, 240, 480, 960};
  return buckets;
}

const Buckets& StepBuckets() {
  static const Buckets buckets = {.0001, .0002, .0005, .001, .002, .005, .01,
                                  .02,   .03,   .05,   .075, .1,   .15,  .2,
                                  .3,    .5,    .75,   1,    2.5,  5,    10};
  return buckets;
}

const Buckets& BatchBuckets() {
  static const Buckets buckets = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return buckets;
}

Family<Gauge>& GaugeFamily(Registry& registry, const Labels& labels,
                           const char* name, const char* help) {
  return BuildGauge()
      .Name(absl::StrCat("blockserve_", name))
      .Help(help)
      .Labels(labels)
      .Register(registry);
}

Gauge& MakeGauge(Registry& registry, const Labels& labels, const char* name,
                 const char* help, const Labels& own_labels = {}) {
  return GaugeFamily(registry, labels, name, help).Add(own_labels);
}

Family<Counter>& CounterFamily(Registry& registry, const Labels& labels,
                               const char* name, const char* help) {
  return BuildCounter()
      .Name(absl::StrCat("blockserve_", name))
      .Help(help)
      .Labels(labels)
      .Register(registry);
}

Counter& MakeCounter(Registry& registry, const Labels& labels, const char* name,
                     const char* help, const Labels& own_labels = {}) {
  return CounterFamily(registry, labels, name, help).Add(own_labels);
}

Histogram& MakeHistogram(Registry& registry, const Labels& labels,
                         const char* name, const char* help,
                         const Buckets& buckets) {
  return BuildHistogram()
      .Name(absl::StrCat("blockserve_", name))
      .Help(help)
      .Labels(labels)
      .Register(registry)
      .Add({}, buckets);
}

std::string CodeName(const absl::Status& status) {
  return absl::StatusCodeToString(status.code());
}

constexpr char kKvBlocks[] = "kv_blocks";
constexpr char kKvBlocksHelp[] = "Pages of the block decoder's KV cache.";
constexpr char kScratchSlots[] = "token_scratch_slots";
constexpr char kScratchSlotsHelp[] =
    "Slots of token scratch, one for each running sequence.";

}  // namespace

WorkerMetrics::WorkerMetrics(std::shared_ptr<Registry> registry,
                             const std::string& model_name)
    : registry_(std::move(registry)),
      labels_({{"model_name", model_name}}),
      running_(MakeGauge(*registry_, labels_, "num_requests_running",
                         "Requests that are in the running batch.")),
      waiting_(MakeGauge(*registry_, labels_, "num_requests_waiting",
                         "Requests that wait for room in the batch.")),
      waiting_prompt_tokens_(
          MakeGauge(*registry_, labels_, "waiting_prompt_tokens",
                    "Prompt tokens of the requests that wait.")),
      kv_cache_usage_(MakeGauge(*registry_, labels_, "kv_cache_usage_ratio",
                                "Share of the KV cache's pages in use.")),
      kv_blocks_used_(MakeGauge(*registry_, labels_, kKvBlocks, kKvBlocksHelp,
                                {{"state", "used"}})),
      kv_blocks_free_(MakeGauge(*registry_, labels_, kKvBlocks, kKvBlocksHelp,
                                {{"state", "free"}})),
      scratch_used_(MakeGauge(*registry_, labels_, kScratchSlots,
                              kScratchSlotsHelp, {{"state", "used"}})),
      scratch_free_(MakeGauge(*registry_, labels_, kScratchSlots,
                              kScratchSlotsHelp, {{"state", "free"}})),
      last_step_(MakeGauge(*registry_, labels_,
                           "engine_last_step_timestamp_seconds",
                           "Unix time of the engine's last step.")),
      steps_(MakeCounter(*registry_, labels_, "engine_steps_total",
                         "Steps of the engine.")),
      prompt_tokens_(
          MakeCounter(*registry_, labels_, "prompt_tokens_total",
                      "Tokens that were given and processed: prompts, "
                      "and what was scored.")),
      generation_tokens_(MakeCounter(*registry_, labels_,
                                     "generation_tokens_total",
                                     "Tokens that were generated.")),
      wasted_tokens_(MakeCounter(*registry_, labels_, "wasted_tokens_total",
                                 "Tokens that were computed for nobody.",
                                 {{"reason", "stop"}})),
      block_step_(MakeHistogram(*registry_, labels_, "block_step_seconds",
                                "Duration of a step: one block of tokens for "
                                "each running sequence.",
                                StepBuckets())),
      batch_sequences_(MakeHistogram(*registry_, labels_, "batch_sequences",
                                     "Sequences in a step.", BatchBuckets())),
      first_token_(MakeHistogram(
          *registry_, labels_, "time_to_first_token_seconds",
          "Arrival at the worker to the first token.", FirstTokenBuckets())),
      queue_time_(MakeHistogram(
          *registry_, labels_, "request_queue_time_seconds",
          "Arrival at the worker to admission.", FirstTokenBuckets())),
      prefill_time_(MakeHistogram(
          *registry_, labels_, "request_prefill_time_seconds",
          "Admission to the prompt in the cache.", RequestBuckets())),
      decode_time_(MakeHistogram(*registry_, labels_,
                                 "request_decode_time_seconds",
                                 "First token to the last.", RequestBuckets())),
      inter_token_(MakeHistogram(*registry_, labels_,
                                 "inter_token_latency_seconds",
                                 "Time between tokens; those of a block come "
                                 "at once, with no time between them.",
                                 TokenBuckets())),
      time_per_token_(MakeHistogram(
          *registry_, labels_, "request_time_per_output_token_seconds",
          "Mean time per token after the first, of each request.",
          TokenBuckets())),
      e2e_(MakeHistogram(*registry_, labels_, "e2e_request_latency_seconds",
                         "Arrival at the worker to the end, of requests that "
                         "completed.",
                         RequestBuckets())),
      requests_(CounterFamily(*registry_, labels_, "requests_total",
                              "Requests that ended.")),
      rejections_(CounterFamily(*registry_, labels_, "request_rejections_total",
                                "Requests that were refused on arrival.")),
      cancellations_(CounterFamily(*registry_, labels_, "cancellations_total",
                                   "Requests that were cancelled, by how far "
                                   "they had come.")) {
  for (RequestPhase phase : {RequestPhase::kWaiting, RequestPhase::kPrefill,
                             RequestPhase::kDecode}) {
    cancellations_.Add({{"phase", std::string(NameOf(phase))}});
  }
}

void WorkerMetrics::SetStartup(const StartupFacts& facts) {
  Registry& registry = *registry_;
  MakeGauge(registry, labels_, "build_info", "1, with what is running.",
            {{"version", facts.version},
             {"backend", facts.backend},
             {"dtype", facts.dtype}})
      .Set(1);
  MakeGauge(registry, labels_, "cache_config_info",
            "1, with the KV cache's shape; block_size is tokens per page.",
            {{"block_size", absl::StrCat(facts.tokens_per_page)},
             {"num_gpu_blocks", absl::StrCat(facts.num_pages)}})
      .Set(1);
  MakeGauge(registry, labels_, "weights_loaded_bytes",
            "Bytes of weights in memory.")
      .Set(static_cast<double>(facts.weights_bytes));
  const auto phase = [&](const char* name, absl::Duration duration) {
    MakeGauge(registry, labels_, "startup_seconds",
              "Duration of a phase of the start.", {{"phase", name}})
        .Set(absl::ToDoubleSeconds(duration));
  };
  phase("load", facts.load_time);
  phase("total", facts.total_time);
}

void WorkerMetrics::SetLoad(const EngineLoad& load) {
  running_.Set(load.num_running);
  waiting_.Set(load.num_waiting);
  waiting_prompt_tokens_.Set(static_cast<double>(load.waiting_prompt_tokens));
  kv_cache_usage_.Set(load.pages_total > 0
                          ? static_cast<double>(load.pages_used) /
                                load.pages_total
                          : 0.0);
  kv_blocks_used_.Set(load.pages_used);
  kv_blocks_free_.Set(load.pages_total - load.pages_used);
  scratch_used_.Set(load.scratch_slots_used);
  scratch_free_.Set(load.scratch_slots_total - load.scratch_slots_used);
}

void WorkerMetrics::OnStep(const StepStats& stats) {
  steps_.Increment();
  last_step_.Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  block_step_.Observe(absl::ToDoubleSeconds(stats.duration));
  batch_sequences_.Observe(stats.num_sequences);
  wasted_tokens_.Increment(stats.wasted_tokens);
}

void WorkerMetrics::OnFirstToken(absl::Duration since_submit) {
  first_token_.Observe(absl::ToDoubleSeconds(since_submit));
}

void WorkerMetrics::OnTokens(int num_tokens,
                             std::optional<absl::Duration> gap) {
  generation_tokens_.Increment(num_tokens);
  if (gap.has_value()) inter_token_.Observe(absl::ToDoubleSeconds(*gap));
  for (int i = 1; i < num_tokens; ++i) inter_token_.Observe(0.0);
}

void WorkerMetrics::OnRefused(const absl::Status& status,
                              absl::string_view reason) {
  rejections_.Add({{"reason", std::string(reason)}}).Increment();
  CountRequest(status, "none");
}

void WorkerMetrics::OnEnded(const RequestResult& result, bool is_scoring) {
  const RequestTimings& timings = result.timings;
  const RequestPhase phase = PhaseOf(result);
  if (phase != RequestPhase::kWaiting) {
    queue_time_.Observe(absl::ToDoubleSeconds(timings.queue));
  }
  if (!result.status.ok()) {
    CountRequest(result.status, "none");
    if (absl::IsCancelled(result.status)) {
      cancellations_.Add({{"phase", std::string(NameOf(phase))}}).Increment();
    }
    return;
  }
  CountRequest(result.status,
               result.finish_reason == FinishReason::kStop ? "stop" : "length");
  e2e_.Observe(absl::ToDoubleSeconds(timings.total));
  if (is_scoring || phase != RequestPhase::kDecode) return;
  const absl::Duration decode = timings.total - timings.first_token;
  prefill_time_.Observe(absl::ToDoubleSeconds(timings.prefill));
  decode_time_.Observe(absl::ToDoubleSeconds(decode));
  if (result.completion_tokens > 1) {
    time_per_token_.Observe(absl::ToDoubleSeconds(decode) /
                            (result.completion_tokens - 1));
  }
}

void WorkerMetrics::CountRequest(const absl::Status& status,
                                 absl::string_view finish_reason) {
  requests_
      .Add({{"code", CodeName(status)},
            {"finish_reason", std::string(finish_reason)}})
      .Increment();
}

}  // namespace blockserve
