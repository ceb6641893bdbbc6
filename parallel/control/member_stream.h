// One stream to the leader, from a rank's side.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_MEMBER_STREAM_H_
#define BLOCKSERVE_PARALLEL_CONTROL_MEMBER_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/group/v1/group.grpc.pb.h"

namespace blockserve {

// Has a connection of its own, so that it never inherits one that a partition
// has stalled. Writes frames one at a time in the order given. The owner keeps
// it until on_done, and frees it on a thread that is not gRPC's. Thread-safe.
class MemberStream final
    : public grpc::ClientBidiReactor<group::v1::MemberFrame,
                                     group::v1::LeaderFrame> {
 public:
  // Called without the stream's lock, on gRPC's threads, one at a time.
  struct Callbacks {
    std::function<void(const group::v1::LeaderFrame&)> on_frame;
    std::function<void(const absl::Status&)> on_done;  // the last call
  };

  static std::shared_ptr<MemberStream> Open(const std::string& leader_address,
                                            absl::Duration connect_timeout,
                                            absl::Duration step_timeout,
                                            Callbacks callbacks);

  void Send(group::v1::MemberFrame frame);
  void Cancel() { context_.TryCancel(); }

  // gRPC's.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  explicit MemberStream(Callbacks callbacks)
      : callbacks_(std::move(callbacks)) {}

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Callbacks callbacks_;
  std::unique_ptr<group::v1::GroupService::Stub> stub_;
  grpc::ClientContext context_;
  group::v1::LeaderFrame incoming_;  // of the read under way

  std::mutex mutex_;
  // The front is being written if writing_.
  std::deque<group::v1::MemberFrame> frames_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_MEMBER_STREAM_H_
