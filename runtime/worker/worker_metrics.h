// The worker's Prometheus series (names and buckets: serving conventions).
#ifndef BLOCKSERVE_RUNTIME_WORKER_WORKER_METRICS_H_
#define BLOCKSERVE_RUNTIME_WORKER_WORKER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request.h"

namespace blockserve {

// What start-up finds out, constant from then on.
struct StartupFacts {
  std::string version;
  std::string backend;
  std::string dtype;
  int tokens_per_page = 0;  // page length x tokens per unit
  int num_pages = 0;
  int64_t weights_bytes = 0;
  absl::Duration load_time;   // reading and packing the weights
  absl::Duration total_time;  // of the whole start
};

// Every series carries model_name. Counts are per request as the engine sees
// it. Thread-safe; the gauges of the load are as of the last SetLoad, which is
// to be called before each scrape.
class WorkerMetrics {
 public:
  WorkerMetrics(std::shared_ptr<prometheus::Registry> registry,
                const std::string& model_name);

  void SetStartup(const StartupFacts& facts);
  void SetLoad(const EngineLoad& load);
  void OnStep(const StepStats& stats);

  // The life of one request.
  void OnPrompt(int num_tokens) { prompt_tokens_.Increment(num_tokens); }
  void OnFirstToken(absl::Duration since_submit);
  // `num_tokens` came at once, `gap` after those before; no gap: the first.
  void OnTokens(int num_tokens, std::optional<absl::Duration> gap);
  void OnRefused(const absl::Status& status, absl::string_view reason);
  void OnEnded(const RequestResult& result, bool is_scoring);

 private:
  void CountRequest(const absl::Status& status,
                    absl::string_view finish_reason);

  const std::shared_ptr<prometheus::Registry> registry_;
  const prometheus::Labels labels_;  // of every series

  prometheus::Gauge& running_;
  prometheus::Gauge& waiting_;
  prometheus::Gauge& waiting_prompt_tokens_;
  prometheus::Gauge& kv_cache_usage_;
  prometheus::Gauge& kv_blocks_used_;
  prometheus::Gauge& kv_blocks_free_;
  prometheus::Gauge& scratch_used_;
  prometheus::Gauge& scratch_free_;
  prometheus::Gauge& last_step_;
  prometheus::Counter& steps_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& generation_tokens_;
  prometheus::Counter& wasted_tokens_;
  prometheus::Histogram& block_step_;
  prometheus::Histogram& batch_sequences_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& queue_time_;
  prometheus::Histogram& prefill_time_;
  prometheus::Histogram& decode_time_;
  prometheus::Histogram& inter_token_;
  prometheus::Histogram& time_per_token_;
  prometheus::Histogram& e2e_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& rejections_;
  prometheus::Family<prometheus::Counter>& cancellations_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_WORKER_METRICS_H_
