#include "router/simulation/simulated_connection.h"

#include <utility>

#include "router/simulation/simulated_client.h"
#include "router/simulation/simulated_group.h"

namespace blockserve {

SimulatedConnection::SimulatedConnection(
    SimulationWorld* world, int worker, std::string address,
    const SimulatedConnectionOptions& options,
    WorkerConnectionListener* listener)
    : world_(world),
      worker_(worker),
      address_(std::move(address)),
      options_(options),
      listener_(listener),
      timer_(options.reconnect),
      stall_detector_(options.stall_timeout) {}

SimulatedConnection::~SimulatedConnection() {
  if (session_ != nullptr) session_->CloseClient();
  if (!handlers_.empty()) {
    world_->Violate("worker ", worker_, " was removed with requests");
  }
}

void SimulatedConnection::Tick(absl::Time now, uint64_t random) {
  random_ = random;
  switch (state_) {
    case State::kIdle:
      if (timer_.IsDue(now)) Connect();
      return;
    case State::kConnecting:
      if (now - started_ >= options_.connect_timeout) {
        Break(absl::DeadlineExceededError("no answer"));
      }
      return;
    case State::kConnected:
      if (const absl::Status progress = stall_detector_.Check(now);
          !progress.ok()) {
        Break(progress);
      }
      return;
    case State::kBreaking:
      return;
  }
}

void SimulatedConnection::Connect() {
  state_ = State::kConnecting;
  started_ = world_->now();
  timer_.OnStarted(started_);
  SessionClient* const client = this;
  session_ = std::make_shared<SimulatedSession>(world_, client);
  if (!world_->groups.at(address_)->Accept(session_)) {
    session_->SendToClient(
        SimulatedSession::kEvents, [](SessionClient& client) {
          client.OnReset(absl::UnavailableError("connection refused"));
        });
    return;
  }
  Send([](SimulatedGroup& group,
          const std::shared_ptr<SimulatedSession>& session) {
    group.OnHello(session);
  });
}

void SimulatedConnection::Send(
    std::function<void(SimulatedGroup&,
                       const std::shared_ptr<SimulatedSession>&)>
        message) {
  session_->Send(
      SimulatedSession::kCommands,
      [group = world_->groups.at(address_), message = std::move(message)](
          const std::shared_ptr<SimulatedSession>& session) {
        if (session->group_is_open()) message(*group, session);
      });
}

void SimulatedConnection::OnIdentity(
    const worker::v1::GetIdentityResponse& identity) {
  if (state_ != State::kConnecting) return;
  if (const absl::Status status = listener_->OnIdentity(worker_, identity);
      !status.ok()) {
    Break(status);
    return;
  }
  world_->Trace("worker ", worker_, " is ", identity.instance_id(), " epoch ",
                identity.group_epoch());
  state_ = State::kConnected;
  stall_detector_.OnConnected(world_->now());
  Send([](SimulatedGroup& group,
          const std::shared_ptr<SimulatedSession>& session) {
    group.OnWatch(session);
  });
}

void SimulatedConnection::OnLoad(const worker::v1::WatchLoadResponse& load) {
  if (state_ != State::kConnected) return;
  stall_detector_.OnLoad(load, world_->now());
  listener_->OnLoad(worker_, load);
}

void SimulatedConnection::OnReadiness(bool ready) {
  if (state_ == State::kConnected) listener_->OnReadiness(worker_, ready);
}

void SimulatedConnection::OnEvent(const worker::v1::RequestEvent& event) {
  if (state_ != State::kConnected) return;
  const auto it = handlers_.find(event.request_id());
  if (it == handlers_.end()) return;
  const std::shared_ptr<WorkerRequestHandler> handler = it->second;
  if (event.has_done()) {
    handlers_.erase(it);
    SimulatedClient::Of(world_, event.request_id()).NoteEnd(event.done());
  }
  handler->OnEvent(event);
}

bool SimulatedConnection::StartRequest(
    const std::string& id, worker::v1::ExecuteRequest command,
    std::shared_ptr<WorkerRequestHandler> handler) {
  if (state_ != State::kConnected) return false;
  world_->Trace(id, " goes to worker ", worker_, " with ",
                command.generate().resume_ids_size(), " tokens");
  SimulatedClient::Of(world_, id).NoteDispatch();
  if (!handlers_.emplace(id, std::move(handler)).second) {
    world_->Violate(id, " was used twice");
  }
  Send([command = std::move(command)](
           SimulatedGroup& group,
           const std::shared_ptr<SimulatedSession>& session) {
    group.OnCommand(session, command);
  });
  return true;
}

void SimulatedConnection::CancelRequest(const std::string& id) {
  const auto it = handlers_.find(id);
  if (it == handlers_.end()) return;
  if (world_->random.Chance(30)) {
    // A call to the handler had begun.
    world_->events.After(world_->Latency(), [handler = it->second, id] {
      worker::v1::RequestEvent event;
      event.set_request_id(id);
      event.add_token_ids(1);
      handler->OnEvent(event);
    });
  }
  handlers_.erase(it);
  if (state_ != State::kConnected) return;
  worker::v1::ExecuteRequest abort;
  abort.mutable_abort()->set_request_id(id);
  Send([abort](SimulatedGroup& group,
               const std::shared_ptr<SimulatedSession>& session) {
    group.OnCommand(session, abort);
  });
}

void SimulatedConnection::Break(const absl::Status& why) {
  if (state_ == State::kBreaking || state_ == State::kIdle) return;
  world_->Trace("worker ", worker_, " is down: ", why.message());
  state_ = State::kBreaking;
  Send([](SimulatedGroup& group,
          const std::shared_ptr<SimulatedSession>& session) {
    group.OnClosed(session);
  });
  session_->CloseClient();
  listener_->OnDown(worker_, why);
  LoseNext(why);
}

// One after the other, with what else may happen in between.
void SimulatedConnection::LoseNext(const absl::Status& why) {
  world_->events.After(world_->Latency(),
                       [this, why, alive = std::weak_ptr<bool>(alive_)] {
                         if (alive.expired()) return;
                         if (handlers_.empty()) {
                           state_ = State::kIdle;
                           session_.reset();
                           timer_.OnEnded(world_->now(), random_);
                           return;
                         }
                         const auto lost = handlers_.extract(handlers_.begin());
                         SimulatedClient::Of(world_, lost.key()).NoteLoss();
                         lost.mapped()->OnLost(why);
                         LoseNext(why);
                       });
}

}  // namespace blockserve
