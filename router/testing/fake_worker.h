// A worker without a model, in the test's own process: answers with tokens that
// the test can predict, and misbehaves when told to.
#ifndef BLOCKSERVE_ROUTER_TESTING_FAKE_WORKER_H_
#define BLOCKSERVE_ROUTER_TESTING_FAKE_WORKER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"
#include "router/testing/fake_sequence.h"
#include "router/testing/fake_worker_streams.h"
#include "runtime/serving/health_service.h"

namespace blockserve {

// Thread-safe.
class FakeWorker {
 public:
  // A FakeIdentity whose model is `token`. Starts serving on a free port.
  explicit FakeWorker(FakeTokenFunction token = &HashedToken);
  ~FakeWorker();

  std::string address() const;

  // The process dies, and comes back on the same port with another instance.
  void Kill();
  void Restart();

  // The leader lives, but a rank is gone: its requests end with UNAVAILABLE
  // WORKER_LOST and it does not serve, until Rebuild begins a new epoch.
  void LoseRank();
  void Rebuild();
  // As at the end of a drain: its requests end with UNAVAILABLE DRAINING.
  void GiveUpAll();
  // Like a stopped process: reports nothing and does nothing, but keeps its
  // connections.
  void Hang(bool hang);

  // Held requests make progress by Step only: one block of tokens each.
  void Hold(bool hold);
  void Step();
  // Requests of the prompt length `num_tokens` are held.
  void HoldPromptsOf(int num_tokens);
  // The next request ends at once with this.
  void RefuseNext(grpc::StatusCode code, const std::string& reason);
  // All Execute streams end with UNAVAILABLE.
  void BreakStreams();
  // grpc.health.v1 says so.
  void SetReadiness(bool ready);
  // GetIdentity and WatchLoad tell from now on.
  void SetState(worker::v1::WorkerState state);
  void SetIdentity(std::function<void(worker::v1::GetIdentityResponse*)> edit);

  std::vector<worker::v1::GenerateCommand> commands() const;
  std::vector<worker::v1::ScoreCommand> score_commands() const;
  int num_active() const;
  int num_aborts() const;
  // Block until so many requests are active, or so many came in all; false
  // after ten seconds.
  bool WaitForActive(int count) const;
  bool WaitForCommands(int count) const;
  bool WaitForAborts(int count) const;

 private:
  class Service;

  struct Running {
    FakeSequence sequence;
    FakeExecuteStream* stream = nullptr;
  };

  void Serve();
  void OnCommand(FakeExecuteStream* stream,
                 const worker::v1::ExecuteRequest& request);
  void OnStreamClosed(FakeExecuteStream* stream);
  void Generate(FakeExecuteStream* stream,
                const worker::v1::GenerateCommand& command)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes a block of the request; true when that was the last.
  bool StepOne(Running& running) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndAll(const worker::v1::Done& done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellLoad() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  worker::v1::WatchLoadResponse CurrentLoad() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `condition` is asked with the lock held.
  template <typename Condition>
  bool WaitFor(Condition condition) const;

  void BeatUntilStopped();

  const FakeTokenFunction token_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;

  mutable absl::Mutex mutex_;
  mutable absl::CondVar changed_;
  worker::v1::GetIdentityResponse identity_ ABSL_GUARDED_BY(mutex_);
  worker::v1::WorkerState state_ ABSL_GUARDED_BY(mutex_) =
      worker::v1::WORKER_STATE_SERVING;
  bool hang_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
  int held_prompt_length_ ABSL_GUARDED_BY(mutex_) = -1;
  worker::v1::Done refusal_ ABSL_GUARDED_BY(mutex_);  // code 0: none
  uint64_t num_steps_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_aborts_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<worker::v1::GenerateCommand> commands_ ABSL_GUARDED_BY(mutex_);
  std::vector<worker::v1::ScoreCommand> score_commands_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Running> running_ ABSL_GUARDED_BY(mutex_);
  std::set<FakeExecuteStream*> streams_ ABSL_GUARDED_BY(mutex_);
  std::set<FakeLoadStream*> watches_ ABSL_GUARDED_BY(mutex_);
  absl::Notification stop_;
  std::thread heartbeat_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_TESTING_FAKE_WORKER_H_
