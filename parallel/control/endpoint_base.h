// What the endpoints of leaders and of other ranks share: the calls of the
// rank's own process, time, and the driving of a state machine.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_ENDPOINT_BASE_H_
#define BLOCKSERVE_PARALLEL_CONTROL_ENDPOINT_BASE_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "parallel/control/group_endpoint.h"
#include "parallel/control/rank_state.h"

namespace blockserve {

// One lock guards the state machine and all that its events fill. Every input
// is followed by Settle, which hands out what the machine wants done. A thread
// sleeps until the machine's next deadline, calls on_broken, and frees what
// FreeLater was given.
class EndpointBase : public GroupEndpoint {
 public:
  absl::StatusOr<Formation> Form(absl::Time deadline) override;
  absl::StatusOr<std::vector<std::string>> ExchangeBlobs(
      std::string mine) override;
  absl::Status SendPlan(absl::Span<const uint8_t> frame) override;
  absl::StatusOr<std::string> NextPlan() override;
  void ReportStep(const StepReport& report) override;
  void Fail(const absl::Status& why) override;
  GroupSnapshot snapshot() const override;
  int port() const override { return 0; }

 protected:
  explicit EndpointBase(std::function<void(const absl::Status&)> on_broken)
      : on_broken_(std::move(on_broken)) {}

  virtual RankState& state() = 0;
  virtual const RankState& state() const = 0;
  // Carries out the machine's actions; under the lock.
  virtual void PerformActions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;

  void StartTimer();
  // Ends blocked calls and the timer's thread; false if it was done before.
  bool Stop();
  void Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Frees `object` on the timer's thread. gRPC 1.51 aborts if its last channel
  // is destroyed in one of its own callbacks: the queue of callbacks goes with
  // it, under the thread that serves it.
  void FreeLater(std::shared_ptr<void> object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable std::mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::condition_variable changed_;  // something a blocked call waits for

 private:
  void RunTimer();
  void Handle(LocalEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnEpochBroken(const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status NoEpoch() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsOver(uint64_t generation) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return shut_down_ || !live_ || generation_ != generation;
  }

  const std::function<void(const absl::Status&)> on_broken_;
  std::thread timer_;
  std::condition_variable timer_wake_;
  absl::Time timer_wakes_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();

  // The epoch that Form has returned, or will.
  bool live_ ABSL_GUARDED_BY(mutex_) = false;
  bool delivered_ ABSL_GUARDED_BY(mutex_) = false;   // Form has returned it
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;  // counts epochs
  Formation formation_ ABSL_GUARDED_BY(mutex_);
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> plans_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::vector<std::string>> blobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<void>> garbage_ ABSL_GUARDED_BY(mutex_);
  std::deque<absl::Status> untold_ ABSL_GUARDED_BY(mutex_);  // to on_broken
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_ENDPOINT_BASE_H_
