// The Execute stream to one worker, shared by all requests that run there.
#ifndef BLOCKSERVE_ROUTER_WORKER_STREAM_H_
#define BLOCKSERVE_ROUTER_WORKER_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"
#include "router/frame_batch.h"
#include "router/shared_work.h"
#include "router/worker_connection.h"

namespace blockserve {

// Multiplexes requests by their id. Commands are written one at a time in the
// order given; how many may wait is bounded by the router's admission. One
// thread delivers events, with the help of others (see SharedWork), and the
// next frames are read meanwhile (see FrameBatch). Lives until gRPC is done
// with it (create with Open, which keeps a reference). Thread-safe.
class WorkerStream
    : public grpc::ClientBidiReactor<worker::v1::ExecuteRequest,
                                     worker::v1::ExecuteResponse> {
 public:
  // Both are called once, when the stream has ended.
  struct Callbacks {
    std::function<void(const absl::Status&)> on_closed;  // before OnLost
    std::function<void()> on_ended;                      // after, the last call
  };

  // `shared_work` must outlive the stream.
  static std::shared_ptr<WorkerStream> Open(
      worker::v1::WorkerService::Stub& stub, SharedWork* shared_work,
      Callbacks callbacks);

  // Sends a generate or score command, whose id is unique on this stream, and
  // delivers its events to `handler`. False if the stream has ended: then
  // nothing is called.
  bool StartRequest(const std::string& id, worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler);
  // Forgets the handler and has the worker abort the request. A call to the
  // handler that has begun may still be running.
  void CancelRequest(const std::string& id);
  // Ends the stream: all requests are lost.
  void Close();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  WorkerStream(SharedWork* shared_work, Callbacks callbacks)
      : shared_work_(shared_work), callbacks_(std::move(callbacks)) {}

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Reads the next frame if there is room for it and no read is under way.
  void ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Delivers frames until none is left.
  void DeliverAll();
  void Deliver(const worker::v1::RequestEvent& event);

  SharedWork* const shared_work_;
  const Callbacks callbacks_;
  grpc::ClientContext context_;
  worker::v1::ExecuteResponse response_;  // of the read under way
  FrameBatch delivery_;                   // of the thread that delivers
  std::shared_ptr<WorkerStream> self_;    // until OnDone

  absl::Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool delivering_ ABSL_GUARDED_BY(mutex_) = false;
  FrameBatch frames_ ABSL_GUARDED_BY(mutex_);  // read, not yet delivered
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // The front is being written if writing_.
  std::deque<worker::v1::ExecuteRequest> commands_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::shared_ptr<WorkerRequestHandler>>
      handlers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_STREAM_H_
