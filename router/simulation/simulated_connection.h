// The router's connection to a simulated group.
#ifndef BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_CONNECTION_H_
#define BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_CONNECTION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "router/reconnect_timer.h"
#include "router/simulation/simulated_session.h"
#include "router/simulation/simulation_world.h"
#include "router/stall_detector.h"
#include "router/worker_connection.h"

namespace blockserve {

struct SimulatedConnectionOptions {
  absl::Duration stall_timeout;
  absl::Duration connect_timeout;
  ReconnectOptions reconnect;
};

// What WorkerClient and WorkerSession do with gRPC, on a SimulatedSession: the
// same timer and stall detector, OnDown before the handlers hear of it, and
// late words to a handler that was cancelled.
class SimulatedConnection : public WorkerConnection, private SessionClient {
 public:
  SimulatedConnection(SimulationWorld* world, int worker, std::string address,
                      const SimulatedConnectionOptions& options,
                      WorkerConnectionListener* listener);
  ~SimulatedConnection() override;

  void Tick(absl::Time now, uint64_t random) override;
  bool StartRequest(const std::string& id, worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler) override;
  void CancelRequest(const std::string& id) override;

 private:
  enum class State { kIdle, kConnecting, kConnected, kBreaking };

  void OnIdentity(const worker::v1::GetIdentityResponse& identity) override;
  void OnLoad(const worker::v1::WatchLoadResponse& load) override;
  void OnReadiness(bool ready) override;
  void OnEvent(const worker::v1::RequestEvent& event) override;
  void OnReset(const absl::Status& why) override { Break(why); }

  void Connect();
  void Break(const absl::Status& why);
  void LoseNext(const absl::Status& why);
  // To the group, if it is still there when the message arrives.
  void Send(std::function<void(SimulatedGroup&,
                               const std::shared_ptr<SimulatedSession>&)>
                message);

  SimulationWorld* const world_;
  const int worker_;
  const std::string address_;
  const SimulatedConnectionOptions options_;
  WorkerConnectionListener* const listener_;

  State state_ = State::kIdle;
  absl::Time started_;
  uint64_t random_ = 0;
  ReconnectTimer timer_;
  StallDetector stall_detector_;
  std::shared_ptr<SimulatedSession> session_;
  std::map<std::string, std::shared_ptr<WorkerRequestHandler>> handlers_;
  // Events hold a weak reference.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_CONNECTION_H_
