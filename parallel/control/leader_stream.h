// One stream to the leader, from its side.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_LEADER_STREAM_H_
#define BLOCKSERVE_PARALLEL_CONTROL_LEADER_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "blockserve/group/v1/group.grpc.pb.h"

namespace blockserve {

// Writes frames one at a time in the order given; how many may wait is bounded
// by the state machine. Lives until gRPC is done with it. Thread-safe.
class LeaderStream final
    : public grpc::ServerBidiReactor<group::v1::MemberFrame,
                                     group::v1::LeaderFrame> {
 public:
  // Called without the stream's lock, on gRPC's threads, one at a time.
  struct Callbacks {
    std::function<void(const group::v1::MemberFrame&)> on_frame;
    std::function<void(const absl::Status&)> on_closed;  // no frame comes after
    std::function<void()> on_done;                       // the last call
  };

  static std::shared_ptr<LeaderStream> Create(
      grpc::CallbackServerContext* context, Callbacks callbacks);
  void StartReading();

  void Send(group::v1::LeaderFrame frame);
  // Ends the call with `status`: after what was sent before, or `at_once`.
  void End(const absl::Status& status, bool at_once);

  // gRPC's.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  LeaderStream(grpc::CallbackServerContext* context, Callbacks callbacks)
      : context_(context), callbacks_(std::move(callbacks)) {}

  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::CallbackServerContext* const context_;
  const Callbacks callbacks_;
  group::v1::MemberFrame incoming_;     // of the read under way
  std::shared_ptr<LeaderStream> self_;  // until OnDone

  std::mutex mutex_;
  // The front is being written if writing_.
  std::deque<group::v1::LeaderFrame> frames_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status end_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_LEADER_STREAM_H_
