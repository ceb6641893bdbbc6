// One rank's hold on its group's control plane: who is in the group, which
// epoch it is in, what the leader (rank 0) plans, who is lost.
//
//   endpoint = GroupEndpoint::Start(options, on_broken)
//   repeat:
//     formation = endpoint->Form(deadline)
//     addresses = endpoint->ExchangeBlobs(mine)     connect a communicator
//     leader: SendPlan(frame) and execute it        others: NextPlan, execute
//     each, after each plan: ReportStep
//   until on_broken, or an error of one of these calls: abort the communicator
#ifndef BLOCKSERVE_PARALLEL_CONTROL_GROUP_ENDPOINT_H_
#define BLOCKSERVE_PARALLEL_CONTROL_GROUP_ENDPOINT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "parallel/control/group_types.h"

namespace blockserve {

struct GroupOptions {
  int rank = 0;
  int world_size = 1;
  std::string leader_address;  // ranks > 0: HOST:PORT of rank 0
  // Rank 0: HOST:PORT to listen on; port 0: any free one. A group of one does
  // not listen.
  std::string listen_address;
  // Shared by the ranks. May be empty only if the address is on loopback.
  std::string secret;
  // Must agree between ranks.
  std::string model_fingerprint;
  std::string build_version;
  // Equal on ranks of one host and one network namespace (host_id.h).
  std::string host_id;
  // A rank that has not reported a step this long after it was planned (or
  // after it reported the step before, if that was later), or has not been
  // heard of, is lost.
  absl::Duration step_timeout = absl::Seconds(10);
  absl::Duration heartbeat_interval;  // default: step_timeout / 8
  // How long the first rank of an exchange waits for the last.
  absl::Duration exchange_timeout = absl::Seconds(60);
  // Plans that a rank has not reported yet; one more ends the epoch.
  int max_plans_in_flight = 256;
};

inline constexpr size_t kMaxPlanBytes = 16 << 20;
inline constexpr size_t kMaxBlobBytes = 1 << 20;
inline constexpr int kMaxWorldSize = 64;

// Connects, joins and comes back by itself. Thread-safe; each of Form,
// ExchangeBlobs and NextPlan is called by one thread at a time.
class GroupEndpoint {
 public:
  // `on_broken` is called once for each epoch that Form has returned, when it
  // is over, whoever ended it: with the reason, on a thread of the endpoint's,
  // and must not block. The caller then aborts its communicator.
  // INVALID_ARGUMENT for options that cannot work; the leader's listening: as
  // CheckListenable (runtime/serving/listen_address.h). Ranks > 0 connect in
  // the background.
  static absl::StatusOr<std::unique_ptr<GroupEndpoint>> Start(
      const GroupOptions& options,
      std::function<void(const absl::Status&)> on_broken);

  virtual ~GroupEndpoint() = default;  // shuts down

  // Gives up the current epoch, if there is one, and blocks until all ranks
  // are in this call and a new one begins.
  //   DEADLINE_EXCEEDED   says who is missing
  //   UNAUTHENTICATED     wrong secret, on this side or the leader's
  //   FAILED_PRECONDITION another model, version, world size than the leader's
  //   INVALID_ARGUMENT    no rank of the group
  //   CANCELLED           after Shutdown
  // A rank whose place is taken waits: DEADLINE_EXCEEDED tells of it.
  virtual absl::StatusOr<Formation> Form(absl::Time deadline) = 0;

  // Gives every rank what all have brought, by rank: the n-th call of each
  // rank within the epoch. Blocks; an error if the epoch is over.
  virtual absl::StatusOr<std::vector<std::string>> ExchangeBlobs(
      std::string mine) = 0;

  // Leader: sends `frame` to all other ranks, numbered 1, 2, .. within the
  // epoch. Does not block. An error if there is no epoch, or if a rank is
  // max_plans_in_flight behind, which ends the epoch.
  virtual absl::Status SendPlan(absl::Span<const uint8_t> frame) = 0;
  // Ranks > 0: blocks for the next frame. An error if the epoch is over;
  // frames that have not been taken by then are dropped.
  virtual absl::StatusOr<std::string> NextPlan() = 0;

  // Any rank, after each plan it has executed (the leader too): what the step
  // deadline and the search for stragglers go by. Ignored without an epoch.
  virtual void ReportStep(const StepReport& report) = 0;
  // Ends the epoch for all ranks, for example after a failed collective.
  // Ignored without an epoch.
  virtual void Fail(const absl::Status& why) = 0;

  virtual GroupSnapshot snapshot() const = 0;
  virtual int port() const = 0;  // that the leader listens on; else 0
  // Leaves without a word, as a killed process would: the others notice.
  // Blocked calls return CANCELLED. Idempotent.
  virtual void Shutdown() = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_GROUP_ENDPOINT_H_
