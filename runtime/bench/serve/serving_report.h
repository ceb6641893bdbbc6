// The report of a serving benchmark, for people and for programs.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVING_REPORT_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVING_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "blockserve/bench/v1/client_run.pb.h"
#include "runtime/bench/serve/serving_metrics.h"

namespace blockserve {

struct ServingReport {
  ServingMetrics metrics;  // of all clients together
  bench::v1::Load load;    // of all together; the first one's seed
  blockserve::v1::Model model;
  std::vector<bench::v1::ClientRun> clients;  // without samples
};

// Percentiles are of all samples, not means of percentiles. Rates and numbers
// at once add up. INVALID_ARGUMENT for no run, or runs of different models or
// shapes, or of both loops. Several hosts' clocks need only agree as well as
// the duration should be known.
absl::StatusOr<ServingReport> MakeReport(
    absl::Span<const bench::v1::ClientRun> runs);

// Lines of a name and its values, aligned.
std::string ToTable(const ServingReport& report);

// One JSON object, indented, with the keys of `vllm bench serve` and more.
std::string ToJson(const ServingReport& report);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVING_REPORT_H_
