// blockserve.worker.v1.WorkerService over an Engine.
#ifndef BLOCKSERVE_RUNTIME_WORKER_WORKER_SERVICE_H_
#define BLOCKSERVE_RUNTIME_WORKER_WORKER_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"
#include "runtime/engine/engine.h"
#include "runtime/worker/execute_stream.h"
#include "runtime/worker/frame_writer.h"
#include "runtime/worker/load_reporter.h"
#include "runtime/worker/worker_metrics.h"

namespace blockserve {

// What a router has to know of protocol and worker to use it.
inline constexpr int kWorkerProtocolVersion = 1;

struct WorkerTopology {
  uint64_t version = 0;       // grows with every change
  std::vector<bool> rank_up;  // by rank
};

struct WorkerServiceOptions {
  // Of a Drain call that gives no timeout.
  absl::Duration drain_timeout = absl::Seconds(30);
  bool log_requests = false;
  // Told when the worker begins or stops to take requests; not from a call of
  // gRPC's.
  std::function<void(bool ready)> on_ready;
  // Reads the group's ranks; any thread. Null: one rank.
  std::function<WorkerTopology()> topology = nullptr;
};

// Registered with a server that listens before the model is loaded: until
// SetEngine the state is STARTING, calls that need the engine fail with
// UNAVAILABLE. Order of the end: Drain, Shutdown, the server's Shutdown, then
// the engine, then this. Thread-safe.
class WorkerService final : public worker::v1::WorkerService::CallbackService {
 public:
  WorkerService(WorkerServiceOptions options, WorkerMetrics* metrics);
  ~WorkerService() override;

  // Serves `engine`; both arguments' state is kept. Once.
  void SetEngine(Engine* engine, worker::v1::GetIdentityResponse identity);

  // The engine is suspended, or about to be: routers and health are told.
  void SetGroupBroken();
  // The engine has resumed, in a new epoch of its group.
  void SetGroupFormed(uint64_t epoch);

  // Refuses new requests from now on; returns when none is left, at the latest
  // at `deadline`, with the number of those that were ended by it.
  int Drain(absl::Time deadline);

  // Ends all streams once what is pending was sent.
  void Shutdown();

  worker::v1::WorkerState state() const;

  grpc::ServerBidiReactor<worker::v1::ExecuteRequest,
                          worker::v1::ExecuteResponse>*
  Execute(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const worker::v1::AbortRequest* request,
                                  worker::v1::AbortResponse* response) override;
  grpc::ServerWriteReactor<worker::v1::WatchLoadResponse>* WatchLoad(
      grpc::CallbackServerContext* context,
      const worker::v1::WatchLoadRequest* request) override;
  grpc::ServerUnaryReactor* GetIdentity(
      grpc::CallbackServerContext* context,
      const worker::v1::GetIdentityRequest* request,
      worker::v1::GetIdentityResponse* response) override;
  grpc::ServerUnaryReactor* GetTopology(
      grpc::CallbackServerContext* context,
      const worker::v1::GetTopologyRequest* request,
      worker::v1::GetTopologyResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const worker::v1::DrainRequest* request,
                                  worker::v1::DrainResponse* response) override;

 private:
  worker::v1::WatchLoadResponse ReadLoad() const;
  worker::v1::WorkerState StateLocked() const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const WorkerServiceOptions options_;
  FrameWriter writer_;
  ExecuteContext context_;  // the engine is set before the first stream

  mutable absl::Mutex mutex_;
  Engine* engine_ ABSL_GUARDED_BY(mutex_) = nullptr;
  worker::v1::GetIdentityResponse identity_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t num_streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<ExecuteStream*, std::shared_ptr<ExecuteStream>> streams_
      ABSL_GUARDED_BY(mutex_);
  std::thread drain_thread_ ABSL_GUARDED_BY(mutex_);  // of a Drain call

  LoadReporter load_reporter_;  // last: its thread reads the above
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_WORKER_SERVICE_H_
