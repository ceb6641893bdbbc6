// Keeps a connection to one worker: connects, and connects again.
#ifndef BLOCKSERVE_ROUTER_WORKER_CLIENT_H_
#define BLOCKSERVE_ROUTER_WORKER_CLIENT_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "router/backoff.h"
#include "router/worker_session.h"

namespace blockserve {

struct WorkerClientOptions {
  WorkerSessionOptions session;
  BackoffOptions backoff;
  // A session this long lets the next loss start with the shortest wait again;
  // a worker that crashes in a loop never gets there.
  absl::Duration steady_after = absl::Seconds(5);
};

// As WorkerSessionListener, over all sessions of one worker, which `worker`
// names. Must not block.
class WorkerClientListener {
 public:
  virtual ~WorkerClientListener() = default;
  virtual absl::Status OnIdentity(
      int worker, const worker::v1::GetIdentityResponse& identity) = 0;
  virtual void OnLoad(int worker,
                      const worker::v1::WatchLoadResponse& load) = 0;
  // The connection, or the attempt to make one, has failed.
  virtual void OnDown(int worker, const absl::Status& why) = 0;
};

// Thread-safe.
class WorkerClient : private WorkerSessionListener {
 public:
  // `listener` must outlive this. Does not connect before the first Tick.
  WorkerClient(int worker, const WorkerClientOptions& options,
               WorkerClientListener* listener);
  // Ends the connection and waits until gRPC is done with it: not on one of
  // its threads.
  ~WorkerClient() override;

  // To be called every few hundredths of a second; `random` jitters the next
  // wait.
  void Tick(absl::Time now, uint64_t random);

  // See WorkerSession.
  bool StartRequest(const std::string& id, worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler);
  void CancelRequest(const std::string& id);

 private:
  absl::Status OnIdentity(
      const worker::v1::GetIdentityResponse& identity) override;
  void OnLoad(const worker::v1::WatchLoadResponse& load) override;
  void OnBroken(const absl::Status& why) override;
  void OnEnded() override;

  std::shared_ptr<WorkerSession> session() const;

  const int worker_;
  const WorkerClientOptions options_;
  WorkerClientListener* const listener_;

  mutable absl::Mutex mutex_;
  absl::CondVar session_ended_;
  std::shared_ptr<WorkerSession> session_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Backoff backoff_ ABSL_GUARDED_BY(mutex_);
  uint64_t random_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time session_start_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_attempt_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_CLIENT_H_
