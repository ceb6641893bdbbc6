// Puts load on servers and notes what comes back.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_LOAD_RUN_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_LOAD_RUN_H_

#include <vector>

#include "absl/time/time.h"
#include "runtime/bench/serve/arrival_schedule.h"
#include "runtime/bench/serve/request_sample.h"
#include "runtime/bench/serve/request_shape.h"
#include "runtime/bench/serve/server_pool.h"

namespace blockserve {

struct LoadOptions {
  RequestShape shape;
  int num_requests = 1;  // measured
  // Sent before those, in the same loop and not measured: what is measured
  // begins under load.
  int num_warmup = 0;
  // > 0, closed loop: so many requests at once, each followed by the next.
  // 0, open loop: requests arrive by `arrivals`, whatever became of the others.
  int concurrency = 0;
  ArrivalOptions arrivals;
  absl::Duration timeout = absl::Seconds(600);  // of one request
};

struct LoadResult {
  std::vector<RequestSample> samples;  // one for each of num_requests
  // Of this process, user and system, from the first measured request on.
  double cpu_seconds = 0;
};

// Blocks until every request has ended, well or not.
LoadResult RunLoad(const LoadOptions& options, const ServerPool& servers);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_LOAD_RUN_H_
