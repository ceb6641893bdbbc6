#include "router/simulation/simulated_group.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "router/simulation/simulated_client.h"

namespace blockserve {
namespace {

constexpr absl::Duration kLoadInterval = absl::Milliseconds(100);
// How often what a stopped process would have done is tried again.
constexpr absl::Duration kStoppedPause = absl::Milliseconds(20);

bool IsPoison(const worker::v1::GenerateCommand& command, int num_tokens) {
  return command.prompt_ids(0) == SimulatedGroup::kPoison &&
         num_tokens >= static_cast<int>(command.prompt_ids(1));
}

}  // namespace

SimulatedGroup::SimulatedGroup(SimulationWorld* world, std::string address)
    : world_(world), address_(std::move(address)), step_time_(Between(10, 60)) {
  world_->groups[address_] = this;
  StartProcess();
  state_ = worker::v1::WORKER_STATE_SERVING;
}

absl::Duration SimulatedGroup::Between(int low_ms, int high_ms) {
  return world_->random.Between(absl::Milliseconds(low_ms),
                                absl::Milliseconds(high_ms));
}

void SimulatedGroup::After(absl::Duration delay, std::function<void()> what) {
  world_->events.After(
      delay, [this, incarnation = incarnation_, what = std::move(what)] {
        if (!is_up_ || incarnation != incarnation_) return;
        if (is_stopped_) {
          After(kStoppedPause, what);
        } else {
          what();
        }
      });
}

void SimulatedGroup::StartProcess() {
  is_up_ = true;
  ++incarnation_;
  ++epoch_;
  is_hurt_ = false;
  is_stopped_ = false;
  is_ready_ = true;
  state_ = worker::v1::WORKER_STATE_STARTING;
  ScheduleStep();
  ScheduleLoads();
}

void SimulatedGroup::ScheduleStep() {
  After(step_time_, [this] {
    if (!is_hurt_) Step();
    ScheduleStep();
  });
}

void SimulatedGroup::ScheduleLoads() {
  After(kLoadInterval, [this] {
    SendLoads();
    ScheduleLoads();
  });
}

bool SimulatedGroup::Accept(std::shared_ptr<SimulatedSession> session) {
  if (!is_up_) return false;
  sessions_.push_back(std::move(session));
  SetBlocked();
  return true;
}

void SimulatedGroup::OnHello(const std::shared_ptr<SimulatedSession>& session) {
  if (state_ == worker::v1::WORKER_STATE_STARTING) {
    session->SendToClient(SimulatedSession::kEvents, [](SessionClient& client) {
      client.OnReset(absl::UnavailableError("the worker is loading its model"));
    });
    return;
  }
  worker::v1::GetIdentityResponse identity = FakeIdentity();
  identity.set_instance_id(absl::StrCat(address_, "#", incarnation_));
  identity.set_group_epoch(epoch_);
  identity.set_state(state_);
  session->SendToClient(
      SimulatedSession::kEvents,
      [identity](SessionClient& client) { client.OnIdentity(identity); });
}

void SimulatedGroup::OnWatch(const std::shared_ptr<SimulatedSession>& session) {
  watchers_.push_back(session);
  SendLoad(session);
}

void SimulatedGroup::OnCommand(const std::shared_ptr<SimulatedSession>& session,
                               const worker::v1::ExecuteRequest& request) {
  if (request.has_abort()) {
    running_.erase({session->number(), request.abort().request_id()});
    return;
  }
  const worker::v1::GenerateCommand& command = request.generate();
  const std::string& id = command.request_id();
  if (!SimulatedClient::Of(world_, id).AcceptsResume(command)) return;
  if (state_ == worker::v1::WORKER_STATE_DRAINING) {
    SendDone(session, id, grpc::StatusCode::UNAVAILABLE, "DRAINING");
  } else if (state_ != worker::v1::WORKER_STATE_SERVING) {
    SendDone(session, id, grpc::StatusCode::UNAVAILABLE, "WORKER_LOST");
  } else if (fails_requests_) {
    SendDone(session, id, grpc::StatusCode::INTERNAL, "ENGINE_ERROR");
  } else {
    running_.emplace(
        std::make_pair(session->number(), id),
        Running{session, command, FakeSequence(command, &HashedToken),
                command.resume_ids_size()});
    if (crashes_) {
      After(Between(1, 50), [this] { Kill(/*silently=*/false); });
    }
  }
}

void SimulatedGroup::OnClosed(
    const std::shared_ptr<SimulatedSession>& session) {
  for (auto it = running_.begin(); it != running_.end();) {
    it = it->second.session == session ? running_.erase(it) : std::next(it);
  }
  for (auto* list : {&sessions_, &watchers_}) {
    list->erase(std::remove(list->begin(), list->end(), session), list->end());
  }
}

void SimulatedGroup::Step() {
  for (auto it = running_.begin(); it != running_.end();) {
    Running& running = it->second;
    if (IsPoison(running.command, running.num_tokens)) {
      SimulatedClient::Of(world_, running.command.request_id()).NoteVictim();
      BreakGroup();
      return;
    }
    it = StepOne(running) ? running_.erase(it) : std::next(it);
  }
  ++num_steps_;
}

bool SimulatedGroup::StepOne(Running& running) {
  worker::v1::RequestEvent event = running.sequence.Step();
  running.num_tokens += event.token_ids_size();
  const bool done = event.has_done();
  // What a step made may come in pieces, and the end by itself.
  if (event.token_ids_size() > 1 && world_->random.Chance(20)) {
    worker::v1::RequestEvent first;
    first.set_request_id(event.request_id());
    first.add_token_ids(event.token_ids(0));
    event.mutable_token_ids()->erase(event.mutable_token_ids()->begin());
    SendEvent(running.session, std::move(first));
  }
  if (done && event.token_ids_size() > 0 && world_->random.Chance(50)) {
    worker::v1::RequestEvent tokens = event;
    tokens.clear_done();
    event.clear_token_ids();
    SendEvent(running.session, std::move(tokens));
  }
  SendEvent(running.session, std::move(event));
  return done;
}

void SimulatedGroup::SendDone(const std::shared_ptr<SimulatedSession>& session,
                              const std::string& id, grpc::StatusCode code,
                              const std::string& reason) {
  worker::v1::RequestEvent event;
  event.set_request_id(id);
  event.mutable_done()->set_code(code);
  event.mutable_done()->set_error_reason(reason);
  SendEvent(session, std::move(event));
}

void SimulatedGroup::SendEvent(const std::shared_ptr<SimulatedSession>& session,
                               worker::v1::RequestEvent event) {
  session->SendToClient(SimulatedSession::kEvents,
                        [event = std::move(event)](SessionClient& client) {
                          client.OnEvent(event);
                        });
}

void SimulatedGroup::SendLoad(
    const std::shared_ptr<SimulatedSession>& session) {
  worker::v1::WatchLoadResponse load;
  load.set_state(state_);
  load.set_running_count(static_cast<int>(running_.size()));
  load.set_step_count(num_steps_);
  load.set_group_epoch(epoch_);
  session->SendToClient(SimulatedSession::kLoads,
                        [load](SessionClient& client) { client.OnLoad(load); });
}

void SimulatedGroup::SendLoads() {
  for (const auto& session : watchers_) SendLoad(session);
}

void SimulatedGroup::EndAll(grpc::StatusCode code, const std::string& reason) {
  for (const auto& [key, running] : running_) {
    SendDone(running.session, key.second, code, reason);
  }
  running_.clear();
}

void SimulatedGroup::Kill(bool silently) {
  if (!is_up_) return;
  world_->Trace(address_, " dies", silently ? " silently" : "");
  is_up_ = false;
  running_.clear();
  for (const auto& session : sessions_) {
    session->CloseGroup();
    if (silently) continue;
    session->SendToClient(SimulatedSession::kEvents, [](SessionClient& client) {
      client.OnReset(absl::UnavailableError("connection reset"));
    });
  }
  sessions_.clear();
  watchers_.clear();
  world_->events.After(Between(100, 3000), [this] {
    world_->Trace(address_, " starts");
    StartProcess();
    After(Between(50, 800), [this] {
      world_->Trace(address_, " serves");
      state_ = worker::v1::WORKER_STATE_SERVING;
    });
  });
}

void SimulatedGroup::LoseRank() {
  if (!is_up_ || state_ != worker::v1::WORKER_STATE_SERVING || is_hurt_) return;
  world_->Trace(address_, " loses a rank");
  is_hurt_ = true;
  After(Between(0, 500), [this] { BreakGroup(); });
}

void SimulatedGroup::BreakGroup() {
  if (state_ != worker::v1::WORKER_STATE_SERVING) return;
  world_->Trace(address_, " is broken");
  is_hurt_ = true;
  state_ = worker::v1::WORKER_STATE_NOT_SERVING;
  EndAll(grpc::StatusCode::UNAVAILABLE, "WORKER_LOST");
  SendLoads();
  // At once or late: the router may or may not see that it did not serve.
  After(world_->random.Chance(30) ? Between(0, 5) : Between(100, 3000),
        [this] { Rebuild(); });
}

void SimulatedGroup::Rebuild() {
  if (state_ != worker::v1::WORKER_STATE_NOT_SERVING) return;
  ++epoch_;
  is_hurt_ = false;
  state_ = worker::v1::WORKER_STATE_SERVING;
  world_->Trace(address_, " is rebuilt, epoch ", epoch_);
  SendLoads();
}

void SimulatedGroup::Stop() {
  if (!is_up_ || is_stopped_) return;
  world_->Trace(address_, " is stopped");
  is_stopped_ = true;
  SetBlocked();
  const int incarnation = incarnation_;
  world_->events.After(Between(100, 4000), [this, incarnation] {
    if (!is_up_ || incarnation != incarnation_ || !is_stopped_) return;
    world_->Trace(address_, " continues");
    is_stopped_ = false;
    SetBlocked();
    // The other ranks have given it up meanwhile.
    if (world_->random.Chance(50)) BreakGroup();
  });
}

void SimulatedGroup::Cut() {
  const int kind = world_->random.Int(1, 3);
  cut_to_group_ = (kind & 1) != 0;
  cut_to_router_ = (kind & 2) != 0;
  world_->Trace(address_, " is cut off, ", kind);
  SetBlocked();
  world_->events.After(Between(100, 4000), [this] {
    world_->Trace(address_, " is healed");
    cut_to_group_ = cut_to_router_ = false;
    SetBlocked();
  });
}

void SimulatedGroup::SetBlocked() {
  for (const auto& session : sessions_) {
    session->Block(cut_to_group_ || is_stopped_, cut_to_router_);
  }
}

void SimulatedGroup::ResetSession() {
  if (sessions_.empty()) return;
  const std::shared_ptr<SimulatedSession> session = sessions_.back();
  world_->Trace(address_, " resets ", session->number());
  session->CloseGroup();
  session->SendToClient(SimulatedSession::kEvents, [](SessionClient& client) {
    client.OnReset(absl::UnavailableError("connection reset"));
  });
  OnClosed(session);
}

void SimulatedGroup::Drain() {
  if (!is_up_ || state_ != worker::v1::WORKER_STATE_SERVING) return;
  world_->Trace(address_, " drains");
  state_ = worker::v1::WORKER_STATE_DRAINING;
  SendLoads();
  After(Between(10, 1000), [this] {
    EndAll(grpc::StatusCode::UNAVAILABLE, "DRAINING");
    After(Between(1, 20), [this] { Kill(/*silently=*/false); });
  });
}

void SimulatedGroup::BeUnready() {
  const auto tell = [this](bool ready) {
    is_ready_ = ready;
    world_->Trace(address_, ready ? " is ready" : " is not ready");
    for (const auto& session : watchers_) {
      session->SendToClient(
          SimulatedSession::kLoads,
          [ready](SessionClient& client) { client.OnReadiness(ready); });
    }
  };
  if (!is_up_ || !is_ready_) return;
  tell(false);
  After(Between(50, 1500), [tell] { tell(true); });
}

void SimulatedGroup::FailRequests() {
  world_->Trace(address_, " fails requests");
  fails_requests_ = true;
  world_->events.After(Between(200, 2000), [this] { fails_requests_ = false; });
}

void SimulatedGroup::CrashLoop() {
  world_->Trace(address_, " crashes from now on");
  crashes_ = true;
  world_->events.After(Between(500, 5000), [this] { crashes_ = false; });
}

void SimulatedGroup::Calm() {
  cut_to_group_ = cut_to_router_ = false;
  is_stopped_ = false;
  fails_requests_ = false;
  crashes_ = false;
  SetBlocked();
}

}  // namespace blockserve
