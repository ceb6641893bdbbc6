// The server's ends of a fake worker's streams.
#ifndef BLOCKSERVE_ROUTER_TESTING_FAKE_WORKER_STREAMS_H_
#define BLOCKSERVE_ROUTER_TESTING_FAKE_WORKER_STREAMS_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"

namespace blockserve {

// One router's Execute stream. Deletes itself when the call is over.
// Thread-safe.
class FakeExecuteStream
    : public grpc::ServerBidiReactor<worker::v1::ExecuteRequest,
                                     worker::v1::ExecuteResponse> {
 public:
  struct Callbacks {
    std::function<void(FakeExecuteStream*, const worker::v1::ExecuteRequest&)>
        on_command;
    std::function<void(FakeExecuteStream*)> on_closed;
  };

  explicit FakeExecuteStream(Callbacks callbacks);

  void Send(const worker::v1::RequestEvent& event);
  void End(const grpc::Status& status);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override;

 private:
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Callbacks callbacks_;
  worker::v1::ExecuteRequest request_;
  absl::Mutex mutex_;
  std::deque<worker::v1::ExecuteResponse> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Sends the newest load whenever there is one. Deletes itself when the call is
// over. Thread-safe.
class FakeLoadStream
    : public grpc::ServerWriteReactor<worker::v1::WatchLoadResponse> {
 public:
  explicit FakeLoadStream(std::function<void(FakeLoadStream*)> on_closed)
      : on_closed_(std::move(on_closed)) {}

  void Send(const worker::v1::WatchLoadResponse& load);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void(FakeLoadStream*)> on_closed_;
  absl::Mutex mutex_;
  worker::v1::WatchLoadResponse next_ ABSL_GUARDED_BY(mutex_);
  worker::v1::WatchLoadResponse current_;
  bool dirty_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_TESTING_FAKE_WORKER_STREAMS_H_
