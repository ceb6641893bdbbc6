// The process around a simulated state machine: forms, exchanges, plans,
// executes.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_USER_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_USER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "parallel/control/leader_state.h"
#include "parallel/control/rank_config.h"
#include "parallel/control/rank_state.h"
#include "parallel/control/testing/group_checker.h"
#include "parallel/control/testing/simulation_world.h"

namespace blockserve {

// As runtime code does it: waits for an epoch, exchanges addresses, executes
// plan after plan, and waits anew some time after an epoch has ended. Some
// waits are given up and begun again.
class SimulatedUser {
 public:
  // Runs something later, in the process, when its own thread runs.
  using Later =
      std::function<void(absl::Duration delay, std::function<void()> act)>;

  // `leader` is null on ranks > 0, else `state` itself.
  SimulatedUser(SimulationWorld* world, const SimulatedRole& role,
                RankState* state, LeaderState* leader, Later later);

  void Handle(const LocalEvent& event);

 private:
  ProcessId id() const { return {role_.number, role_.rank}; }
  void BeginForm();
  void OnFormed(const Formation& formation);
  void OnBroken(const absl::Status& why);
  void PlanNext();
  void ExecuteNext();
  // Runs `act` later unless the epoch or wait of now is over by then.
  void InEpoch(absl::Duration delay, std::function<void()> act);

  SimulationWorld* const world_;
  const SimulatedRole role_;
  RankState* const state_;
  LeaderState* const leader_;
  const Later later_;

  uint64_t generation_ = 0;  // of epochs and waits
  EpochKey epoch_{0, 0};
  bool executing_ = false;
  uint64_t num_planned_ = 0;
  uint64_t num_executed_ = 0;
  std::deque<std::string> plans_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_USER_H_
