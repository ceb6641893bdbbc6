// When the requests of an open-loop benchmark arrive.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_ARRIVAL_SCHEDULE_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_ARRIVAL_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace blockserve {

struct ArrivalOptions {
  double rate = 1;  // requests a second, > 0
  // Shape of the gamma distribution of the times between arrivals, > 0: 1 is a
  // Poisson process, less comes in bursts, more is even (as in vLLM).
  double burstiness = 1;
  uint64_t seed = 0;
};

// Times from the begin of the benchmark, in order; the first is 0. The same
// options give the same times, and fewer arrivals the first of more.
std::vector<absl::Duration> ScheduleArrivals(const ArrivalOptions& options,
                                             int num_arrivals);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_ARRIVAL_SCHEDULE_H_
