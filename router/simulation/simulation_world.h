// What the parts of a router's simulation share.
#ifndef BLOCKSERVE_ROUTER_SIMULATION_SIMULATION_WORLD_H_
#define BLOCKSERVE_ROUTER_SIMULATION_SIMULATION_WORLD_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "parallel/control/testing/event_queue.h"
#include "parallel/control/testing/simulation_random.h"

namespace blockserve {

class SimulatedClient;
class SimulatedGroup;

// Outlives all that is in it.
struct SimulationWorld {
  explicit SimulationWorld(uint64_t seed) : random(seed) {}

  absl::Time now() const { return events.now(); }

  // A line of the trace, if there is one: microseconds and what happened.
  template <typename... Args>
  void Trace(const Args&... args) {
    if (trace == nullptr) return;
    absl::StrAppend(trace, absl::ToUnixMicros(now()), " ",
                    absl::StrCat(args...), "\n");
  }
  // Something that must not be. The first counts.
  template <typename... Args>
  void Violate(const Args&... args) {
    Trace("VIOLATION ", args...);
    if (violation.empty()) violation = absl::StrCat(args...);
  }
  absl::Duration Latency() {
    return random.Between(absl::Microseconds(50), absl::Milliseconds(2));
  }

  EventQueue events;
  SimulationRandom random;
  std::string* trace = nullptr;
  std::string violation;
  int num_sessions = 0;
  std::map<std::string, SimulatedGroup*> groups;    // by address
  std::map<std::string, SimulatedClient*> clients;  // by request id
  std::map<std::string, int64_t> faults;            // by kind, how many
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SIMULATION_SIMULATION_WORLD_H_
