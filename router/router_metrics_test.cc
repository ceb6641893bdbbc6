#include "router/router_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <string>

namespace blockserve {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Text(const RouterMetrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

TEST(RouterMetricsTest, CountsEndsByCodeAndFinishReason) {
  RouterMetrics metrics;
  metrics.RequestEnded({.finish_reason = v1::FINISH_REASON_LENGTH,
                        .latency = absl::Milliseconds(15)});
  metrics.RequestEnded(
      {.code = grpc::StatusCode::RESOURCE_EXHAUSTED, .reason = "QUEUE_FULL"});
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr("blockserve_requests_total{code=\"OK\","
                              "finish_reason=\"length\"} 1"));
  EXPECT_THAT(text, HasSubstr("{code=\"RESOURCE_EXHAUSTED\","
                              "finish_reason=\"none\"} 1"));
  EXPECT_THAT(text, HasSubstr("blockserve_router_errors_total{reason=\"QUEUE_"
                              "FULL\"} 1"));
  EXPECT_THAT(text, HasSubstr("blockserve_e2e_request_latency_seconds_bucket{"
                              "le=\"0.025\"} 2"));
}

TEST(RouterMetricsTest, ReasonsFromWorkersMakeNoNewSeries) {
  RouterMetrics metrics;
  metrics.Failed("SOMETHING_ODD");
  metrics.Failed("ELSE");
  EXPECT_THAT(Text(metrics), HasSubstr("{reason=\"OTHER\"} 2"));
  EXPECT_THAT(Text(metrics), Not(HasSubstr("ODD")));
}

TEST(RouterMetricsTest, ShowsWorkers) {
  RouterMetrics metrics;
  metrics.SetWorker({.id = "worker-0",
                     .health = WorkerHealth::kHealthy,
                     .outstanding_requests = 3});
  metrics.SetWorker({.id = "worker-1", .health = WorkerHealth::kDraining});
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr("inflight{worker=\"worker-0\"} 3"));
  EXPECT_THAT(text, HasSubstr("health{worker=\"worker-0\"} 1"));
  EXPECT_THAT(text, HasSubstr("health{worker=\"worker-1\"} 0"));
}

TEST(RouterMetricsTest, EverythingHasTheCommonPrefix) {
  RouterMetrics metrics;
  metrics.RequestReceived("Generate");
  metrics.Selected("round_robin");
  metrics.Retried();
  metrics.Dispatched(absl::Microseconds(30));
  metrics.FirstToken(absl::Milliseconds(3));
  for (const auto& family : metrics.registry()->Collect()) {
    EXPECT_THAT(family.name, testing::StartsWith("blockserve_"));
  }
  EXPECT_THAT(Text(metrics), HasSubstr("blockserve_router_overhead_seconds_"
                                       "bucket{le=\"5e-05\"} 1"));
  EXPECT_THAT(Text(metrics), HasSubstr("blockserve_build_info{"));
}

}  // namespace
}  // namespace blockserve
