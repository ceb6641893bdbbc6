// A communicator that fails, is late or hangs where a test wants it to.
#ifndef BLOCKSERVE_PARALLEL_FAKE_FAKE_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_FAKE_FAKE_COMMUNICATOR_H_

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/communicator.h"
#include "parallel/fake/call_log.h"

namespace blockserve {

// What goes wrong, once: the call numbered `call`, counted from 0 since the
// fake was made, among all calls or among those of `op`.
struct CollectiveFault {
  enum class Kind {
    kFail,   // poisons with `error`; the call does not reach the peers
    kDelay,  // waits for `delay`, then goes on
    kHang,   // never comes back, but by Abort
  };
  Kind kind = Kind::kFail;
  std::optional<CollectiveOp> op = {};
  int64_t call = 0;
  absl::Status error = absl::UnavailableError("a fault of the fake");
  absl::Duration delay = {};
};

// Hands everything on to another communicator, but for the faults, and writes
// it down. Inject may be called by any thread.
class FakeCommunicator final : public Communicator {
 public:
  explicit FakeCommunicator(std::unique_ptr<Communicator> inner);

  void Inject(CollectiveFault fault);
  // The calls that were made before the first error, the failing one included.
  // May outlive the fake.
  std::shared_ptr<CallLog> call_log() const { return log_; }
  // Waits until a call hangs or is delayed.
  void AwaitStuck();

  std::string_view name() const override { return "fake"; }
  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  void AllReduce(const TensorView& data) override;
  void ReduceScatter(const TensorView& data) override;
  void AllGather(absl::Span<const TensorView> arrays) override;
  void Broadcast(const TensorView& data, int root) override;
  void Barrier() override;
  absl::Status Synchronize() override { return inner_->Synchronize(); }
  absl::Status error() const override { return inner_->error(); }
  void Abort(const absl::Status& why) override;
  CommunicatorStats stats() const override { return inner_->stats(); }

 private:
  void Call(CollectiveOp op, size_t num_bytes,
            absl::FunctionRef<void()> hand_on);
  // The fault of this call, taken from the list.
  std::optional<CollectiveFault> TakeFault(CollectiveOp op);
  // Waits for `delay`, or for Abort.
  void Stay(absl::Duration delay);

  const std::unique_ptr<Communicator> inner_;
  const std::shared_ptr<CallLog> log_ = std::make_shared<CallLog>();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<CollectiveFault> faults_ ABSL_GUARDED_BY(mutex_);
  std::array<int64_t, kNumCollectiveOps> num_calls_
      ABSL_GUARDED_BY(mutex_) = {};
  bool is_aborted_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_stuck_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_FAKE_FAKE_COMMUNICATOR_H_
