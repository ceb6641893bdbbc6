// One connection between the router and a group, as both ends see it.
#ifndef BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_SESSION_H_
#define BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_SESSION_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/simulation/simulation_world.h"

namespace blockserve {

// The router's end.
class SessionClient {
 public:
  virtual ~SessionClient() = default;
  virtual void OnIdentity(const worker::v1::GetIdentityResponse& identity) = 0;
  virtual void OnLoad(const worker::v1::WatchLoadResponse& load) = 0;
  virtual void OnReadiness(bool ready) = 0;
  virtual void OnEvent(const worker::v1::RequestEvent& event) = 0;
  virtual void OnReset(const absl::Status& why) = 0;
};

class SimulatedSession;

// What happens when a message arrives. It is given its session and does not
// hold it: a session that is blocked for good would never be freed.
using SimulatedMessage =
    std::function<void(const std::shared_ptr<SimulatedSession>& session)>;

// Carries messages in order. While it is blocked they wait, as in TCP.
struct SimulatedChannel {
  std::deque<SimulatedMessage> pending;
  absl::Time last_arrival = absl::InfinitePast();
  bool blocked = false;
};

// Messages of one channel keep their order; those of different ones, as the
// streams of a gRPC connection, do not.
class SimulatedSession : public std::enable_shared_from_this<SimulatedSession> {
 public:
  enum Stream { kCommands, kEvents, kLoads, kNumStreams };

  SimulatedSession(SimulationWorld* world, SessionClient* client)
      : world_(world), number_(++world->num_sessions), client_(client) {}

  int number() const { return number_; }

  // Null when the router has closed its end.
  SessionClient* client() const { return client_; }
  void CloseClient() { client_ = nullptr; }
  // False when the process at the other end is gone.
  bool group_is_open() const { return group_is_open_; }
  void CloseGroup() { group_is_open_ = false; }

  void Send(Stream stream, SimulatedMessage message) {
    SimulatedChannel& channel = channels_[stream];
    channel.pending.push_back(std::move(message));
    channel.last_arrival =
        std::max(channel.last_arrival, world_->now() + world_->Latency());
    Schedule(stream, channel.last_arrival);
  }
  // Lost if the router has closed its end.
  void SendToClient(Stream stream,
                    std::function<void(SessionClient&)> message) {
    Send(stream, [message = std::move(message)](
                     const std::shared_ptr<SimulatedSession>& session) {
      if (session->client_ != nullptr) message(*session->client_);
    });
  }
  // Blocks the way to the group, or the way back, or lets all through again.
  void Block(bool to_group, bool to_router) {
    for (int i = 0; i < kNumStreams; ++i) {
      const auto stream = static_cast<Stream>(i);
      SimulatedChannel& channel = channels_[i];
      channel.blocked = stream == kCommands ? to_group : to_router;
      if (channel.blocked) continue;
      for (size_t n = 0; n < channel.pending.size(); ++n) {
        Schedule(stream, world_->now());
      }
    }
  }

 private:
  void Schedule(Stream stream, absl::Time time) {
    world_->events.At(time, [self = shared_from_this(), stream] {
      SimulatedChannel& channel = self->channels_[stream];
      if (channel.blocked || channel.pending.empty()) return;
      const SimulatedMessage message = std::move(channel.pending.front());
      channel.pending.pop_front();
      message(self);
    });
  }

  SimulationWorld* const world_;
  const int number_;
  SessionClient* client_;
  bool group_is_open_ = true;
  SimulatedChannel channels_[kNumStreams];
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SIMULATION_SIMULATED_SESSION_H_
