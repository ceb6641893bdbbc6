#include "runtime/bench/serve/serving_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace blockserve {
namespace {

double PercentileOf(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

bool IsWithin(const RequestSample& sample, const GoodputBound& bound) {
  return sample.ttft_ms <= bound.ttft_ms &&
         (!sample.has_tpot() || sample.tpot_ms() <= bound.tpot_ms);
}

// The latencies of completed requests, one list a figure.
struct Latencies {
  std::vector<double> ttft;
  std::vector<double> tpot;
  std::vector<double> itl;
  std::vector<double> e2el;
  std::vector<double> send_lag;

  void Add(const RequestSample& sample) {
    ttft.push_back(sample.ttft_ms);
    if (sample.has_tpot()) tpot.push_back(sample.tpot_ms());
    itl.insert(itl.end(), sample.itl_ms.begin(), sample.itl_ms.end());
    e2el.push_back(sample.e2el_ms);
    send_lag.push_back(sample.send_lag_ms);
  }
};

double DurationOf(absl::Span<const RequestSample> samples) {
  double begin = INFINITY;
  double end = -INFINITY;
  for (const RequestSample& sample : samples) {
    begin = std::min(begin, sample.start_seconds);
    end = std::max(end, sample.start_seconds + sample.e2el_ms / 1000);
  }
  return samples.empty() ? 0 : end - begin;
}

}  // namespace

LatencySummary Summarize(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double count = static_cast<double>(values.size());
  LatencySummary summary;
  summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) {
    squares += (value - summary.mean) * (value - summary.mean);
  }
  summary.std = std::sqrt(squares / count);
  summary.p50 = PercentileOf(values, 0.5);
  summary.median = summary.p50;
  summary.p90 = PercentileOf(values, 0.9);
  summary.p95 = PercentileOf(values, 0.95);
  summary.p99 = PercentileOf(values, 0.99);
  summary.max = values.back();
  return summary;
}

ServingMetrics ComputeMetrics(absl::Span<const RequestSample> samples) {
  ServingMetrics metrics;
  metrics.duration = DurationOf(samples);
  Latencies latencies;
  std::array<int, kGoodputBounds.size()> num_good = {};
  for (const RequestSample& sample : samples) {
    metrics.migrations += sample.migrations;
    if (!sample.completed()) {
      ++metrics.failed;
      ++metrics.failures[sample.error];
      continue;
    }
    ++metrics.completed;
    metrics.total_input_tokens += sample.input_tokens;
    metrics.total_output_tokens += sample.output_tokens;
    metrics.total_chunks += static_cast<int64_t>(sample.itl_ms.size()) + 1;
    latencies.Add(sample);
    for (size_t i = 0; i < kGoodputBounds.size(); ++i) {
      num_good[i] += IsWithin(sample, kGoodputBounds[i]);
    }
  }
  if (metrics.duration > 0) {
    const double input = static_cast<double>(metrics.total_input_tokens);
    const double output = static_cast<double>(metrics.total_output_tokens);
    metrics.request_throughput = metrics.completed / metrics.duration;
    metrics.output_throughput = output / metrics.duration;
    metrics.total_token_throughput = (input + output) / metrics.duration;
    for (size_t i = 0; i < kGoodputBounds.size(); ++i) {
      metrics.goodput[i] = num_good[i] / metrics.duration;
    }
  }
  metrics.ttft = Summarize(std::move(latencies.ttft));
  metrics.tpot = Summarize(std::move(latencies.tpot));
  metrics.itl = Summarize(std::move(latencies.itl));
  metrics.e2el = Summarize(std::move(latencies.e2el));
  metrics.send_lag = Summarize(std::move(latencies.send_lag));
  return metrics;
}

}  // namespace blockserve
