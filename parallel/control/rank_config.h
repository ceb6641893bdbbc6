// What the state machines of a group's ranks are made from.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_RANK_CONFIG_H_
#define BLOCKSERVE_PARALLEL_CONTROL_RANK_CONFIG_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"

namespace blockserve {

// Defects that the simulation plants to see whether it finds them.
struct PlantedDefects {
  bool accept_duplicates =
      false;                   // a second process takes a living rank's place
  bool forget_epochs = false;  // count epochs from the leader's own only
  bool skip_fencing = false;   // take frames of other epochs and streams
};

struct RankConfig {
  int rank = 0;
  int world_size = 1;
  std::string address;  // of the leader
  std::string secret;
  std::string model_fingerprint;
  std::string build_version;
  std::string host_id;
  uint64_t incarnation = 1;  // new at every start of the process; not 0
  absl::Duration step_timeout = absl::Seconds(10);
  absl::Duration heartbeat_interval = absl::Milliseconds(1250);
  absl::Duration handshake_timeout = absl::Milliseconds(1500);
  absl::Duration exchange_timeout = absl::Seconds(60);
  int max_plans_in_flight = 256;
  // Of nonces and waits: unpredictable, but in simulations.
  std::function<uint64_t()> random;
  PlantedDefects planted;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_RANK_CONFIG_H_
