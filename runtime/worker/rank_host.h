// A rank of a group, or one alone, from its options to a model that steps.
#ifndef BLOCKSERVE_RUNTIME_WORKER_RANK_HOST_H_
#define BLOCKSERVE_RUNTIME_WORKER_RANK_HOST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/group/group_rank.h"
#include "runtime/worker/model_host.h"

namespace blockserve {

// True for what goes away when a lost rank comes back; other errors of a Join
// need a hand.
bool IsTransient(const absl::Status& status);

// Used by one thread at a time but for Stop.
class RankHost {
 public:
  // Starts to look for the group; `group` is empty for a rank alone. Errors as
  // ModelHost::Prepare, FingerprintOf and GroupRank::Start. What can be found
  // out here is filled into the options: fingerprint and host id.
  static absl::StatusOr<std::unique_ptr<RankHost>> Create(
      const ModelHostOptions& model, std::optional<GroupRankOptions> group);

  // Forms the next epoch with the other ranks, loads what they agree on if this
  // rank has not yet, connects the collectives and takes the first step
  // together. `progress` as ModelHost::Load. Transient errors: try again.
  //   DEADLINE_EXCEEDED at `deadline` if ranks are missing: names them
  //   CANCELLED after Stop
  absl::Status Join(absl::Time deadline,
                    const std::function<void(int64_t, int64_t)>& progress);
  // Makes Join return, and leaves the group. Any thread.
  void Stop();

  ModelHost& model() { return *model_; }
  GroupRank* rank() { return rank_.get(); }  // null if alone
  // Of the last Join; 1 of a rank alone.
  uint64_t epoch() const { return epoch_; }

 private:
  RankHost() = default;

  absl::Status JoinGroup(absl::Time deadline,
                         const std::function<void(int64_t, int64_t)>& progress);

  const RankGroup alone_;
  std::unique_ptr<GroupRank> rank_;
  std::unique_ptr<ModelHost> model_;  // uses rank_'s group
  uint64_t epoch_ = 1;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_RANK_HOST_H_
