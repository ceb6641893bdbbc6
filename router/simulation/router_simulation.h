// A router over groups of ranks in one thread, in virtual time, with everything
// that a seed makes go wrong.
#ifndef BLOCKSERVE_ROUTER_SIMULATION_ROUTER_SIMULATION_H_
#define BLOCKSERVE_ROUTER_SIMULATION_ROUTER_SIMULATION_H_

#include <cstdint>
#include <map>
#include <string>

#include "router/resume.h"

namespace blockserve {

struct RouterSimulationResult {
  std::string violation;  // what did not hold; empty: all did
  std::string trace;      // if it was asked for
  int64_t num_requests = 0;
  int64_t num_dispatches = 0;
  std::map<std::string, int64_t> outcomes;  // "OK" or an error's reason
  std::map<std::string, int64_t> faults;    // by kind
  std::map<std::string, int64_t> metrics;   // counters of the router
};

// Runs `seed`: WorkerFleet and RoutedRequest, and so health, ejection, the
// retry budget, discovery, stalls and resumption, over simulated groups that
// die, hang, are cut off, lose ranks, drain and come back, for ten seconds;
// then all that heals: everything that was begun must end and every group be
// back in rotation. Same arguments, same result, byte for byte.
RouterSimulationResult SimulateRouter(uint64_t seed,
                                      const PlantedResumeDefects& planted,
                                      bool with_trace);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SIMULATION_ROUTER_SIMULATION_H_
