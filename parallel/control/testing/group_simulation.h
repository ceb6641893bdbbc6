// A group of ranks in one thread, in virtual time, with everything that a seed
// makes go wrong.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_GROUP_SIMULATION_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_GROUP_SIMULATION_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "parallel/control/rank_config.h"

namespace blockserve {

struct SimulationResult {
  std::string violation;  // what did not hold; empty: all did
  std::string trace;      // if it was asked for
  int num_epochs = 0;
  int64_t num_executed = 0;  // plans, over all ranks
  absl::Duration recovery;   // from the last fault until plans flow again
  std::map<std::string, int64_t> faults;    // by kind
  std::map<std::string, int64_t> refusals;  // by reason, at all leaders
};

// Runs `seed`: half a minute of processes that are killed, stopped, hung and
// replaced, cuts in one or both directions, broken streams, strangers,
// duplicates, replays and rubbish; then all that heals, and the group must
// form within kMaxRecovery and execute plans. Same arguments, same result,
// byte for byte.
SimulationResult Simulate(uint64_t seed, const PlantedDefects& planted,
                          bool with_trace);

inline constexpr absl::Duration kMaxRecovery = absl::Seconds(5);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_GROUP_SIMULATION_H_
