// What the processes of a simulation share.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATION_WORLD_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATION_WORLD_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "blockserve/group/v1/group.pb.h"
#include "parallel/control/testing/event_queue.h"
#include "parallel/control/testing/group_checker.h"
#include "parallel/control/testing/simulated_network.h"
#include "parallel/control/testing/simulation_random.h"

namespace blockserve {

class SimulatedRank;

// Who a process is, beside its configuration.
struct SimulatedRole {
  int number = 0;  // unique in the simulation
  int rank = 0;
  int host = 0;
  bool may_join = true;  // has the secret, the model, the version
  absl::Duration work = absl::Milliseconds(10);  // a step without collectives
};

// Outlives the processes.
struct SimulationWorld {
  SimulationWorld(uint64_t seed, int world_size)
      : random(seed), network(&events, &random), checker(world_size) {}

  // A line of the trace, if there is one: microseconds and what happened.
  template <typename... Args>
  void Trace(const Args&... args) {
    if (trace == nullptr) return;
    absl::StrAppend(trace,
                    absl::ToInt64Microseconds(events.now() - absl::UnixEpoch()),
                    " ", absl::StrCat(args...), "\n");
  }

  EventQueue events;
  SimulationRandom random;
  SimulatedNetwork network;
  GroupChecker checker;
  SimulatedRank* leader = nullptr;  // whom the leader's address leads to
  bool calm = false;                // nothing goes wrong any more
  std::string* trace = nullptr;
  // The frames of the last genuine handshake, for those who replay them.
  group::v1::MemberFrame recorded_hello;
  group::v1::MemberFrame recorded_claim;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATION_WORLD_H_
