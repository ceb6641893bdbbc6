// The figures of a serving benchmark, from what its clients saw. Names as in
// `vllm bench serve`.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVING_METRICS_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVING_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/bench/serve/request_sample.h"

namespace blockserve {

// Of milliseconds; all 0 where there were no values. Percentiles are exact,
// linear between the two nearest values (as numpy's).
struct LatencySummary {
  double mean = 0;
  double median = 0;
  double std = 0;  // of the population
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;
};

LatencySummary Summarize(std::vector<double> values);

// What a user still finds good: both bounds are kept.
struct GoodputBound {
  double ttft_ms = 0;
  double tpot_ms = 0;
};

inline constexpr std::array<GoodputBound, 3> kGoodputBounds = {
    {{2000, 100}, {500, 30}, {200, 10}}};

struct ServingMetrics {
  double duration = 0;  // seconds from the first start to the last end
  int completed = 0;
  int failed = 0;
  std::map<std::string, int> failures;  // by error
  int64_t total_input_tokens = 0;       // of completed requests, as all below
  int64_t total_output_tokens = 0;
  int64_t total_chunks = 0;
  int migrations = 0;  // of all requests
  double request_throughput = 0;
  double output_throughput = 0;
  double total_token_throughput = 0;
  LatencySummary ttft;
  LatencySummary tpot;
  LatencySummary itl;
  LatencySummary e2el;
  LatencySummary send_lag;
  // Requests a second within each of kGoodputBounds.
  std::array<double, kGoodputBounds.size()> goodput = {};
};

ServingMetrics ComputeMetrics(absl::Span<const RequestSample> samples);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVING_METRICS_H_
