#include "runtime/bench/serve/arrival_schedule.h"

#include <glog/logging.h>

#include <random>

namespace blockserve {

std::vector<absl::Duration> ScheduleArrivals(const ArrivalOptions& options,
                                             int num_arrivals) {
  CHECK(options.rate > 0 && options.burstiness > 0);
  std::mt19937_64 random(options.seed);
  // Mean = shape * scale = 1 / rate.
  std::gamma_distribution<double> gap(options.burstiness,
                                      1 / (options.rate * options.burstiness));
  std::vector<absl::Duration> arrivals;
  arrivals.reserve(num_arrivals);
  double seconds = 0;
  for (int i = 0; i < num_arrivals; ++i) {
    arrivals.push_back(absl::Seconds(seconds));
    seconds += gap(random);
  }
  return arrivals;
}

}  // namespace blockserve
