// Keeps a gRPC connection to one worker.
#ifndef BLOCKSERVE_ROUTER_WORKER_CLIENT_H_
#define BLOCKSERVE_ROUTER_WORKER_CLIENT_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "router/reconnect_timer.h"
#include "router/worker_connection.h"
#include "router/worker_session.h"

namespace blockserve {

struct WorkerClientOptions {
  WorkerSessionOptions session;
  ReconnectOptions reconnect;
};

// Thread-safe.
class WorkerClient : public WorkerConnection, private WorkerSessionListener {
 public:
  // `listener` must outlive this. Does not connect before the first Tick.
  WorkerClient(int worker, const WorkerClientOptions& options,
               WorkerConnectionListener* listener);
  // Ends the connection and waits until gRPC is done with it: not on one of
  // its threads.
  ~WorkerClient() override;

  void Tick(absl::Time now, uint64_t random) override;
  bool StartRequest(const std::string& id, worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler) override;
  void CancelRequest(const std::string& id) override;

 private:
  absl::Status OnIdentity(
      const worker::v1::GetIdentityResponse& identity) override;
  void OnLoad(const worker::v1::WatchLoadResponse& load) override;
  void OnReadiness(bool ready) override;
  void OnBroken(const absl::Status& why) override;
  void OnEnded() override;

  std::shared_ptr<WorkerSession> session() const;

  const int worker_;
  const WorkerClientOptions options_;
  WorkerConnectionListener* const listener_;

  mutable absl::Mutex mutex_;
  absl::CondVar session_ended_;
  std::shared_ptr<WorkerSession> session_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  ReconnectTimer timer_ ABSL_GUARDED_BY(mutex_);
  uint64_t random_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_CLIENT_H_
