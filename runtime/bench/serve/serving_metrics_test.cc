#include "runtime/bench/serve/serving_metrics.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

// 9 tokens in chunks of 4, 4 and 1.
RequestSample MakeSample(double start_seconds, double ttft_ms) {
  RequestSample sample;
  sample.start_seconds = start_seconds;
  sample.ttft_ms = ttft_ms;
  sample.e2el_ms = ttft_ms + 50;
  sample.input_tokens = 16;
  sample.output_tokens = 9;
  sample.first_chunk_tokens = 4;
  sample.itl_ms = {30, 20};
  return sample;
}

TEST(SummarizeTest, InterpolatesBetweenTheNearestValues) {
  const LatencySummary summary = Summarize({40, 10, 30, 20});
  EXPECT_DOUBLE_EQ(summary.mean, 25);
  EXPECT_DOUBLE_EQ(summary.median, 25);
  EXPECT_DOUBLE_EQ(summary.p50, 25);
  // numpy.percentile([10, 20, 30, 40], [90, 95, 99]), numpy.std
  EXPECT_DOUBLE_EQ(summary.p90, 37);
  EXPECT_DOUBLE_EQ(summary.p95, 38.5);
  EXPECT_DOUBLE_EQ(summary.p99, 39.7);
  EXPECT_DOUBLE_EQ(summary.max, 40);
  EXPECT_NEAR(summary.std, 11.180339887, 1e-9);
}

TEST(SummarizeTest, OneValueIsEveryPercentileAndNoneAreZero) {
  EXPECT_DOUBLE_EQ(Summarize({7}).p99, 7);
  EXPECT_DOUBLE_EQ(Summarize({7}).std, 0);
  EXPECT_DOUBLE_EQ(Summarize({}).p99, 0);
}

TEST(RequestSampleTest, TimePerTokenLeavesTheFirstChunkOut) {
  EXPECT_DOUBLE_EQ(MakeSample(0, 100).tpot_ms(), 50.0 / 5);
}

TEST(ServingMetricsTest, CountsTokensAndThroughput) {
  const ServingMetrics metrics =
      ComputeMetrics({MakeSample(1000, 150), MakeSample(1001.8, 150)});
  // From 1000 to 1001.8 + 0.2.
  EXPECT_NEAR(metrics.duration, 2, 1e-6);
  EXPECT_EQ(metrics.completed, 2);
  EXPECT_EQ(metrics.failed, 0);
  EXPECT_EQ(metrics.total_input_tokens, 32);
  EXPECT_EQ(metrics.total_output_tokens, 18);
  EXPECT_EQ(metrics.total_chunks, 6);
  EXPECT_NEAR(metrics.request_throughput, 1, 1e-6);
  EXPECT_NEAR(metrics.output_throughput, 9, 1e-6);
  EXPECT_NEAR(metrics.total_token_throughput, 25, 1e-6);
  EXPECT_DOUBLE_EQ(metrics.ttft.mean, 150);
  EXPECT_DOUBLE_EQ(metrics.tpot.mean, 10);
  EXPECT_DOUBLE_EQ(metrics.itl.mean, 25);
  EXPECT_DOUBLE_EQ(metrics.e2el.mean, 200);
}

TEST(ServingMetricsTest, FailuresAreCountedByCodeAndHaveNoLatency) {
  RequestSample lost = MakeSample(1000, 9000);
  lost.error = "UNAVAILABLE";
  lost.migrations = 2;
  RequestSample late = lost;
  late.error = "DEADLINE_EXCEEDED";
  const ServingMetrics metrics =
      ComputeMetrics({lost, MakeSample(1000, 150), lost, late});
  EXPECT_EQ(metrics.completed, 1);
  EXPECT_EQ(metrics.failed, 3);
  EXPECT_EQ(metrics.failures,
            (std::map<std::string, int>{{"UNAVAILABLE", 2},
                                        {"DEADLINE_EXCEEDED", 1}}));
  EXPECT_EQ(metrics.migrations, 6);
  EXPECT_DOUBLE_EQ(metrics.ttft.max, 150);
  EXPECT_EQ(metrics.total_output_tokens, 9);
}

TEST(ServingMetricsTest, GoodputNeedsBothBounds) {
  RequestSample slow_tokens = MakeSample(0, 100);
  slow_tokens.e2el_ms = slow_tokens.ttft_ms + 5 * 40;  // TPOT 40 ms
  RequestSample slow_first = MakeSample(0, 1950);      // TPOT 10 ms
  const ServingMetrics metrics =
      ComputeMetrics({slow_tokens, slow_first, MakeSample(0, 100)});
  ASSERT_NEAR(metrics.duration, 2, 1e-6);
  EXPECT_NEAR(metrics.goodput[0], 3 / 2.0, 1e-6);
  EXPECT_NEAR(metrics.goodput[1], 1 / 2.0, 1e-6);
  EXPECT_NEAR(metrics.goodput[2], 1 / 2.0, 1e-6);
}

TEST(ServingMetricsTest, AnswersOfOneChunkHaveNoTimePerToken) {
  RequestSample sample = MakeSample(0, 100);
  sample.output_tokens = 4;
  sample.itl_ms.clear();
  const ServingMetrics metrics = ComputeMetrics({sample});
  EXPECT_DOUBLE_EQ(metrics.tpot.mean, 0);
  EXPECT_GT(metrics.goodput[2], 0);
}

TEST(ServingMetricsTest, NothingIsAllZeros) {
  const ServingMetrics metrics = ComputeMetrics({});
  EXPECT_EQ(metrics.completed, 0);
  EXPECT_DOUBLE_EQ(metrics.duration, 0);
  EXPECT_DOUBLE_EQ(metrics.output_throughput, 0);
}

}  // namespace
}  // namespace blockserve
