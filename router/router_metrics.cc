#include "router/router_metrics.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "router/rpc_error.h"

namespace blockserve {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Histogram;

const Histogram::BucketBoundaries kOverheadBuckets = {
    0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001,
    0.002,   0.005,   0.01,    0.02,   0.05,   0.1,    0.5};
const Histogram::BucketBoundaries kFirstTokenBuckets = {
    .0005, .001, .002, .005, .01, .02, .04, .06, .08, .1, .25,
    .5,    .75,  1,    2.5,  5,   10,  20,  40,  80,  160};
const Histogram::BucketBoundaries kLatencyBuckets = {
    .01, .025, .05, .1, .2, .3, .5,  .8,  1,   1.5,
    2.5, 5,    10,  20, 30, 60, 120, 240, 480, 960};

// A reason that a worker sent and this router does not know is "OTHER".
// (Plain pointers: under UBSan g++ 12 makes no constant string_view of them.)
constexpr const char* kReasons[] = {kInvalidParameter, kContextLengthExceeded,
                                    kModelNotFound,    kQueueFull,
                                    kNoHealthyWorker,  kDraining,
                                    kWorkerLost,       kWorkerLostMidStream,
                                    kQueueTimeout,     kGenerationTimeout,
                                    kClientCancelled,  kAbortRpc,
                                    kFeatureDisabled,  kEngineError};

absl::string_view FinishReasonName(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return "stop";
    case v1::FINISH_REASON_LENGTH:
      return "length";
    default:
      return "none";
  }
}

// A worker that is down with its breaker open is still open.
int BreakerState(const WorkerTable::Row& row) {
  if (!row.is_ejected) return 0;
  return row.health == WorkerHealth::kHalfOpen ? 1 : 2;
}

prometheus::Labels Label(absl::string_view name, absl::string_view value) {
  return {{std::string(name), std::string(value)}};
}

}  // namespace

absl::string_view StatusCodeName(grpc::StatusCode code) {
  static constexpr std::array<absl::string_view, 17> kNames = {
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

absl::string_view EjectionReasonName(EjectionReason reason) {
  return reason == EjectionReason::kStall ? "stall" : "failures";
}

RouterMetrics::RouterMetrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      received_(BuildCounter()
                    .Name("blockserve_router_requests_total")
                    .Help("Calls received, by method.")
                    .Register(*registry_)),
      errors_(BuildCounter()
                  .Name("blockserve_router_errors_total")
                  .Help("Calls that failed, by reason.")
                  .Register(*registry_)),
      requests_(BuildCounter()
                    .Name("blockserve_requests_total")
                    .Help("Generations and scores that ended, by status and "
                          "finish reason.")
                    .Register(*registry_)),
      selections_(BuildCounter()
                      .Name("blockserve_router_selections_total")
                      .Help("Workers picked, by routing policy.")
                      .Register(*registry_)),
      worker_inflight_(BuildGauge()
                           .Name("blockserve_router_worker_inflight")
                           .Help("Sequences dispatched to a worker and not "
                                 "ended.")
                           .Register(*registry_)),
      worker_health_(BuildGauge()
                         .Name("blockserve_router_worker_health")
                         .Help("1 if the worker takes requests, else 0.")
                         .Register(*registry_)),
      breaker_state_(BuildGauge()
                         .Name("blockserve_router_breaker_state")
                         .Help("0: closed, 1: half open, 2: open (the worker "
                               "is ejected).")
                         .Register(*registry_)),
      migrations_(BuildCounter()
                      .Name("blockserve_migrations_total")
                      .Help("Sequences that moved to another worker, by "
                            "whether they had tokens (decode) or not "
                            "(waiting).")
                      .Register(*registry_)),
      ejections_(BuildCounter()
                     .Name("blockserve_router_ejections_total")
                     .Help("Workers ejected, by reason.")
                     .Register(*registry_)),
      retries_(BuildCounter()
                   .Name("blockserve_router_retries_total")
                   .Help("Requests dispatched again after a worker was lost.")
                   .Register(*registry_)
                   .Add({})),
      resumes_(BuildCounter()
                   .Name("blockserve_router_resumes_total")
                   .Help("Begun sequences that went on at another worker.")
                   .Register(*registry_)
                   .Add({})),
      retries_refused_(BuildCounter()
                           .Name("blockserve_router_retries_refused_total")
                           .Help("Retries for which the budget had no room.")
                           .Register(*registry_)
                           .Add({})),
      retries_in_use_(BuildGauge()
                          .Name("blockserve_router_retry_budget_in_use")
                          .Help("Causes (lost groups, failed requests) being "
                                "retried.")
                          .Register(*registry_)
                          .Add({})),
      retries_limit_(BuildGauge()
                         .Name("blockserve_router_retry_budget_limit")
                         .Help("Causes that may be retried at once.")
                         .Register(*registry_)
                         .Add({})),
      waiting_resumes_(BuildGauge()
                           .Name("blockserve_router_waiting_resumes")
                           .Help("Begun sequences that wait for a worker.")
                           .Register(*registry_)
                           .Add({})),
      overhead_(BuildHistogram()
                    .Name("blockserve_router_overhead_seconds")
                    .Help("From a request's arrival to its dispatch.")
                    .Register(*registry_)
                    .Add({}, kOverheadBuckets)),
      first_token_(BuildHistogram()
                       .Name("blockserve_time_to_first_token_seconds")
                       .Help("From a request's arrival to its first token, "
                             "once per request.")
                       .Register(*registry_)
                       .Add({}, kFirstTokenBuckets)),
      latency_(BuildHistogram()
                   .Name("blockserve_e2e_request_latency_seconds")
                   .Help("From a request's arrival to its end.")
                   .Register(*registry_)
                   .Add({}, kLatencyBuckets)) {
  BuildGauge()
      .Name("blockserve_build_info")
      .Help("1; the labels say what runs.")
      .Register(*registry_)
      .Add({{"component", "router"}, {"compiler", "g++ " __VERSION__}})
      .Set(1);
}

void RouterMetrics::RequestReceived(absl::string_view method) {
  received_.Add(Label("method", method)).Increment();
}

void RouterMetrics::RequestEnded(const RequestOutcome& outcome) {
  requests_
      .Add({{"code", std::string(StatusCodeName(outcome.code))},
            {"finish_reason",
             std::string(FinishReasonName(outcome.finish_reason))}})
      .Increment();
  latency_.Observe(absl::ToDoubleSeconds(outcome.latency));
  if (outcome.code != grpc::StatusCode::OK) Failed(outcome.reason);
}

void RouterMetrics::Failed(absl::string_view reason) {
  const bool known = std::find(std::begin(kReasons), std::end(kReasons),
                               reason) != std::end(kReasons);
  errors_.Add(Label("reason", known ? reason : "OTHER")).Increment();
}

void RouterMetrics::Dispatched(absl::Duration overhead) {
  overhead_.Observe(absl::ToDoubleSeconds(overhead));
}

void RouterMetrics::FirstToken(absl::Duration since_arrival) {
  first_token_.Observe(absl::ToDoubleSeconds(since_arrival));
}

void RouterMetrics::Retried() { retries_.Increment(); }

void RouterMetrics::Selected(absl::string_view policy) {
  selections_.Add(Label("policy", policy)).Increment();
}

void RouterMetrics::Migrated(bool mid_stream) {
  migrations_.Add(Label("phase", mid_stream ? "decode" : "waiting"))
      .Increment();
  if (mid_stream) resumes_.Increment();
}

void RouterMetrics::RetryRefused() { retries_refused_.Increment(); }

void RouterMetrics::SetRetryBudget(int in_use, int limit) {
  retries_in_use_.Set(in_use);
  retries_limit_.Set(limit);
}

void RouterMetrics::SetWaitingResumes(int count) {
  waiting_resumes_.Set(count);
}

void RouterMetrics::Ejected(EjectionReason reason) {
  ejections_.Add(Label("reason", EjectionReasonName(reason))).Increment();
}

void RouterMetrics::SetWorker(const WorkerTable::Row& row) {
  const auto label = Label("worker", row.id);
  const bool healthy =
      !row.is_leaving && (row.health == WorkerHealth::kHealthy ||
                          row.health == WorkerHealth::kHalfOpen);
  worker_inflight_.Add(label).Set(row.outstanding_requests);
  worker_health_.Add(label).Set(healthy ? 1 : 0);
  breaker_state_.Add(label).Set(BreakerState(row));
}

void RouterMetrics::RemoveWorker(const std::string& id) {
  const auto label = Label("worker", id);
  for (Family<prometheus::Gauge>* family :
       {&worker_inflight_, &worker_health_, &breaker_state_}) {
    family->Remove(&family->Add(label));
  }
}

}  // namespace blockserve
