// A group of ranks behind its leader's process, and what may befall it.
#ifndef BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_GROUP_H_
#define BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_GROUP_H_

#include <grpcpp/support/status_code_enum.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/simulation/simulated_session.h"
#include "router/simulation/simulation_world.h"
#include "router/testing/fake_sequence.h"

namespace blockserve {

// Answers as runtime/worker does; its model is HashedToken.
class SimulatedGroup {
 public:
  // A prompt that begins so kills the group that computes its n-th token, where
  // n is the second prompt token.
  static constexpr uint32_t kPoison = 255;

  // It serves at once. The world outlives the group.
  SimulatedGroup(SimulationWorld* world, std::string address);

  // The router connects. False: the connection is refused.
  bool Accept(std::shared_ptr<SimulatedSession> session);
  // What came over the session.
  void OnHello(const std::shared_ptr<SimulatedSession>& session);
  void OnWatch(const std::shared_ptr<SimulatedSession>& session);
  void OnCommand(const std::shared_ptr<SimulatedSession>& session,
                 const worker::v1::ExecuteRequest& request);
  void OnClosed(const std::shared_ptr<SimulatedSession>& session);

  // Faults. They end by themselves after a random time, or with Calm.
  void Kill(bool silently);  // silently: nobody hears of the end
  void LoseRank();
  void Stop();  // SIGSTOP
  void Cut();   // of the network, in one direction or both
  void ResetSession();
  void Drain();
  void BeUnready();
  void FailRequests();  // all new ones, with INTERNAL
  void CrashLoop();     // every request kills the process
  void Calm();

 private:
  struct Running {
    std::shared_ptr<SimulatedSession> session;
    worker::v1::GenerateCommand command;
    FakeSequence sequence;
    int num_tokens = 0;
    bool told_all = false;  // but not that this was all
  };

  void StartProcess();
  void ScheduleStep();
  void ScheduleLoads();
  void Step();
  // A block of one request; true when it ends.
  bool StepOne(Running& running);
  void BreakGroup();
  void Rebuild();
  void EndAll(grpc::StatusCode code, const std::string& reason);
  void SendDone(const std::shared_ptr<SimulatedSession>& session,
                const std::string& id, grpc::StatusCode code,
                const std::string& reason);
  void SendEvent(const std::shared_ptr<SimulatedSession>& session,
                 worker::v1::RequestEvent event);
  void SendLoad(const std::shared_ptr<SimulatedSession>& session);
  void SendLoads();
  void SetBlocked();
  // Has the process do `what` after `delay`: not if it is gone by then, later
  // if it is stopped.
  void After(absl::Duration delay, std::function<void()> what);
  absl::Duration Between(int low_ms, int high_ms);

  SimulationWorld* const world_;
  const std::string address_;
  absl::Duration step_time_;

  bool is_up_ = false;
  int incarnation_ = 0;
  uint64_t epoch_ = 0;
  worker::v1::WorkerState state_ = worker::v1::WORKER_STATE_STARTING;
  bool is_hurt_ = false;  // a rank is gone, and the leader does not know
  bool is_stopped_ = false;
  bool cut_to_group_ = false;
  bool cut_to_router_ = false;
  bool is_ready_ = true;
  bool fails_requests_ = false;
  bool crashes_ = false;
  uint64_t num_steps_ = 0;
  std::vector<std::shared_ptr<SimulatedSession>> sessions_;
  std::vector<std::shared_ptr<SimulatedSession>> watchers_;
  // By session and id: a request may come again by another session.
  std::map<std::pair<int, std::string>, Running> running_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_GROUP_H_
