// The router's Prometheus series. Labels come from fixed lists, or are ids that
// the router itself gave out: clients cannot make new series.
#ifndef BLOCKSERVE_ROUTER_ROUTER_METRICS_H_
#define BLOCKSERVE_ROUTER_ROUTER_METRICS_H_

#include <grpcpp/support/status_code_enum.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "blockserve/v1/generation.pb.h"
#include "router/worker_table.h"

namespace blockserve {

// How a request ended.
struct RequestOutcome {
  grpc::StatusCode code = grpc::StatusCode::OK;
  absl::string_view reason = {};  // of an error
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  absl::Duration latency = {};
};

// "OK", "INVALID_ARGUMENT", ...
absl::string_view StatusCodeName(grpc::StatusCode code);

// "failures" or "stall".
absl::string_view EjectionReasonName(EjectionReason reason);

// Thread-safe.
class RouterMetrics {
 public:
  RouterMetrics();

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

  // `method` is one of InferenceService.
  void RequestReceived(absl::string_view method);
  // Generate, GenerateStream and Score: once per request, whatever n is.
  void RequestEnded(const RequestOutcome& outcome);
  // Any method that failed.
  void Failed(absl::string_view reason);
  // Arrival to dispatch: what the router itself adds.
  void Dispatched(absl::Duration overhead);
  void FirstToken(absl::Duration since_arrival);
  void Retried();
  // A sequence was dispatched again, before or after its first token.
  void Migrated(bool mid_stream);
  void RetryRefused();
  void SetRetryBudget(int in_use, int limit);
  void SetWaitingResumes(int count);
  void Ejected(EjectionReason reason);
  void Selected(absl::string_view policy);
  // Sets the gauges of one worker.
  void SetWorker(const WorkerTable::Row& row);
  // Its series end.
  void RemoveWorker(const std::string& id);

 private:
  template <typename T>
  using Family = prometheus::Family<T>;

  std::shared_ptr<prometheus::Registry> registry_;
  Family<prometheus::Counter>& received_;
  Family<prometheus::Counter>& errors_;
  Family<prometheus::Counter>& requests_;
  Family<prometheus::Counter>& selections_;
  Family<prometheus::Gauge>& worker_inflight_;
  Family<prometheus::Gauge>& worker_health_;
  Family<prometheus::Gauge>& breaker_state_;
  Family<prometheus::Counter>& migrations_;
  Family<prometheus::Counter>& ejections_;
  prometheus::Counter& retries_;
  prometheus::Counter& resumes_;
  prometheus::Counter& retries_refused_;
  prometheus::Gauge& retries_in_use_;
  prometheus::Gauge& retries_limit_;
  prometheus::Gauge& waiting_resumes_;
  prometheus::Histogram& overhead_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& latency_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_ROUTER_METRICS_H_
