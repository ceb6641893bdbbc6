// One connection to one worker, from the first call to the last.
#ifndef BLOCKSERVE_ROUTER_WORKER_SESSION_H_
#define BLOCKSERVE_ROUTER_WORKER_SESSION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "router/shared_work.h"
#include "router/stall_detector.h"
#include "router/worker_stream.h"

namespace blockserve {

struct WorkerSessionOptions {
  std::string address;  // HOST:PORT
  // Until the worker has said who it is. Short, since a new attempt gets
  // through a network that has healed sooner than the old one.
  absl::Duration connect_timeout = absl::Seconds(3);
  // See StallDetector. Infinite: never.
  absl::Duration stall_timeout = absl::Seconds(10);
  absl::Duration load_interval = absl::Milliseconds(100);
  absl::Duration keepalive_time = absl::Seconds(10);
  absl::Duration keepalive_timeout = absl::Seconds(5);
  // Where others help to deliver what workers say. Must outlive the session.
  SharedWork* shared_work = nullptr;
};

// Told about the session on gRPC's threads, one call at a time; must not
// block.
class WorkerSessionListener {
 public:
  virtual ~WorkerSessionListener() = default;
  // Who the worker is. An error refuses it and ends the session.
  virtual absl::Status OnIdentity(
      const worker::v1::GetIdentityResponse& identity) = 0;
  virtual void OnLoad(const worker::v1::WatchLoadResponse& load) = 0;
  // What grpc.health.v1 says; never called if the worker does not offer it.
  virtual void OnReadiness(bool ready) = 0;
  // The connection is of no more use; requests will be lost. Once, before they
  // hear of it.
  virtual void OnBroken(const absl::Status& why) = 0;
  // gRPC is done with the session; the last call.
  virtual void OnEnded() = 0;
};

// Asks for the identity, then opens the Execute, the WatchLoad and the health
// Watch stream on the same channel; if one of the first two ends, so does the
// session. Every session has a
// channel of its own, so that a new one starts with no memory of failed
// connection attempts. Create as a shared_ptr; gRPC's callbacks keep it alive.
// Thread-safe.
class WorkerSession : public std::enable_shared_from_this<WorkerSession> {
 public:
  // `listener` must live until OnEnded.
  WorkerSession(const WorkerSessionOptions& options,
                WorkerSessionListener* listener);
  ~WorkerSession();

  void Start();
  // False if there is no stream to the worker.
  bool StartRequest(const std::string& id, worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler);
  void CancelRequest(const std::string& id);
  // Ends the session because of `why`. Returns at once.
  void Close(const absl::Status& why);
  // Ends the session if the worker keeps it waiting for too long.
  void CheckProgress(absl::Time now);

 private:
  class HealthWatch;
  class IdentityCall;
  class LoadWatch;

  void OnIdentityDone(const grpc::Status& status,
                      const worker::v1::GetIdentityResponse& identity);
  void OpenStreams();
  void OnLoad(const worker::v1::WatchLoadResponse& load);
  void OnReadiness(bool ready);
  // A stream ended; then its handlers are told; then it is gone.
  void Break(const absl::Status& why);
  void OnStreamEnded();

  const WorkerSessionOptions options_;
  WorkerSessionListener* const listener_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<worker::v1::WorkerService::Stub> stub_;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health_stub_;

  // Serialises calls to the listener; never held by a caller from outside.
  absl::Mutex listener_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);

  mutable absl::Mutex mutex_;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  int num_open_streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<IdentityCall> identity_call_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<WorkerStream> stream_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<LoadWatch> watch_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<HealthWatch> health_watch_ ABSL_GUARDED_BY(mutex_);
  absl::Status close_reason_ ABSL_GUARDED_BY(mutex_);
  StallDetector stall_detector_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_SESSION_H_
