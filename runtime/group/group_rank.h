// One rank's membership in its group, from epoch to epoch: the control plane
// and the communicator of the present epoch.
#ifndef BLOCKSERVE_RUNTIME_GROUP_GROUP_RANK_H_
#define BLOCKSERVE_RUNTIME_GROUP_GROUP_RANK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "parallel/api/communicator.h"
#include "parallel/api/rank_group.h"
#include "parallel/control/group_endpoint.h"

namespace blockserve {

struct GroupRankOptions {
  GroupOptions control;
  std::string collectives = "auto";  // "auto", "shm", "gloo" or "nccl"
  std::string bind_address;          // IPv4 address of the collectives' traffic
};

// How long one step took on this rank, and how much of it in collectives.
struct StepTimes {
  absl::Duration step;
  CommunicatorStats collectives;  // of this step alone
};

// When the epoch breaks, whoever finds it out, the communicator is aborted at
// once, so that a step under way ends with an error. The same thread then forms
// the next epoch: Form, Exchange as often as needed, Connect, steps. A
// collective waits for its peers as long as the control plane does:
// step_timeout.
//
// Form to RecordStep: one thread at a time. The rest: any thread.
class GroupRank {
 public:
  // Errors as GroupEndpoint::Start.
  static absl::StatusOr<std::unique_ptr<GroupRank>> Start(
      const GroupRankOptions& options);
  // Leaves the group.
  ~GroupRank();

  // For ModelOptions; the communicator is that of the present epoch.
  const RankGroup& group() const { return group_; }
  GroupEndpoint& endpoint() { return *endpoint_; }

  // Leaves the present epoch and waits for the next one: until all ranks are
  // there. No step may run. DEADLINE_EXCEEDED at `deadline`, CANCELLED after
  // Stop.
  absl::StatusOr<Formation> Form(absl::Time deadline);
  // Every rank's bytes in rank order. UNAVAILABLE if the epoch breaks.
  absl::StatusOr<std::vector<std::string>> Exchange(std::string mine);
  // Connects the collectives of the epoch, for tensors of up to `max_bytes`;
  // `stream` is Ops::native_stream() of what works on them. Errors as
  // CreateCommunicator.
  absl::Status Connect(size_t max_bytes, void* stream = nullptr);

  // Tells the group that this rank has done a planned step, begun at `begin`
  // (monotonic).
  StepTimes RecordStep(absl::Time begin);

  // Gives the epoch up: all ranks hear of it.
  void Break(const absl::Status& why);
  // Why the present epoch is over; OK while it lasts.
  absl::Status broken() const;
  // Leaves for good; makes what waits return.
  void Stop() { endpoint_->Shutdown(); }

  // The name of the collectives in use ("shm"); empty before Connect.
  std::string collectives() const;

 private:
  explicit GroupRank(const GroupRankOptions& options);

  // The endpoint's word: one for each epoch that was formed.
  void OnEpochOver(const absl::Status& why);
  void SetBroken(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const GroupRankOptions options_;
  RankGroup group_;
  Formation formation_;
  CommunicatorStats stats_;  // as of the last step
  uint64_t num_steps_ = 0;   // of the epoch

  mutable std::mutex mutex_;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);
  // Epochs formed, and those that the endpoint has said are over: its word of
  // an old one may come after the next was formed, or before Form has returned
  // the one it is about.
  int64_t num_formed_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t num_over_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status last_over_ ABSL_GUARDED_BY(mutex_);
  // Replaced by the stepping thread, under the lock; aborted by any.
  std::unique_ptr<Communicator> communicator_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<GroupEndpoint> endpoint_;  // last: it calls OnEpochOver
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GROUP_GROUP_RANK_H_
