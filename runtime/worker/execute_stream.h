// One Execute stream: all requests of one router, multiplexed.
#ifndef BLOCKSERVE_RUNTIME_WORKER_EXECUTE_STREAM_H_
#define BLOCKSERVE_RUNTIME_WORKER_EXECUTE_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"
#include "runtime/engine/engine.h"
#include "runtime/worker/frame_writer.h"
#include "runtime/worker/stream_request.h"
#include "runtime/worker/worker_metrics.h"

namespace blockserve {

// What the streams of a worker share; outlives them.
struct ExecuteContext {
  Engine* engine = nullptr;
  WorkerMetrics* metrics = nullptr;
  FrameWriter* writer = nullptr;
  // The call is over; the last that is heard of the stream's gRPC side.
  std::function<void(ExecuteStream*)> on_closed;
  bool log_requests = false;  // one line for each that ends
  std::atomic<int> num_ended_by_drain = 0;
};

// The engine's thread puts events into a pending frame under a short lock;
// one write is in flight at a time, and what happens meanwhile is merged into
// the next frame, one event per request. So a slow router costs memory in
// proportion to the tokens it has outstanding, and nobody waits for it. When
// the stream breaks, its requests are aborted.
//
// Ids are unique on a stream only, and free again once aborted: the engine sees
// them with numbers in front. Thread-safe; lives until gRPC and the engine are
// done with it.
class ExecuteStream final
    : public grpc::ServerBidiReactor<worker::v1::ExecuteRequest,
                                     worker::v1::ExecuteResponse>,
      public FrameSource,
      public std::enable_shared_from_this<ExecuteStream> {
 public:
  // Begins to read. `number` is unique in the process.
  static std::shared_ptr<ExecuteStream> Start(ExecuteContext* context,
                                              uint64_t number);

  // Ends the request; false if the stream has none of that id.
  bool Abort(const std::string& request_id, AbortCause cause);
  // Ends the call when all that is pending has been sent. To be called when no
  // request is left.
  void End();

  void Flush() override;

  // For the stream's requests, on the engine's thread.
  void DeliverTokens(StreamRequest& request, const TokenDelta& delta);
  void DeliverResult(StreamRequest& request, const RequestResult& result);

  // gRPC's.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  ExecuteStream(ExecuteContext* context, uint64_t number)
      : context_(context), number_(number) {}

  void Handle(const worker::v1::ExecuteRequest& message);
  std::shared_ptr<StreamRequest> MakeRequest(const std::string& id,
                                             int64_t num_prompt_tokens,
                                             int64_t num_new_tokens,
                                             bool is_scoring);
  // `submit` hands the request to the engine.
  void Submit(const std::shared_ptr<StreamRequest>& request,
              const std::function<absl::Status()>& submit);
  void Refuse(StreamRequest& request, const absl::Status& status);
  void Forget(StreamRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Break();
  worker::v1::RequestEvent& EventOf(StreamRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScheduleFlush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ExecuteContext* const context_;
  const uint64_t number_;
  worker::v1::ExecuteRequest command_;   // of the read under way
  uint64_t num_commands_ = 0;            // the reading thread's
  std::shared_ptr<ExecuteStream> self_;  // until OnDone

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<StreamRequest>> requests_
      ABSL_GUARDED_BY(mutex_);
  // Counts frames, so that a request knows whether its event is still pending.
  uint64_t frame_number_ ABSL_GUARDED_BY(mutex_) = 1;
  worker::v1::ExecuteResponse pending_ ABSL_GUARDED_BY(mutex_);
  worker::v1::ExecuteResponse in_flight_;  // gRPC's while writing_
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool flush_scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_EXECUTE_STREAM_H_
