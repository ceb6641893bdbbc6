#include "router/simulation/simulated_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/testing/fake_sequence.h"

namespace blockserve {

SimulatedClient::SimulatedClient(SimulationWorld* world,
                                 RoutedRequestOptions options)
    : world_(world), options_(std::move(options)) {
  FakeSequence undisturbed(options_.command.generate(), &HashedToken);
  while (true) {
    const worker::v1::RequestEvent event = undisturbed.Step();
    expected_.insert(expected_.end(), event.token_ids().begin(),
                     event.token_ids().end());
    if (!event.has_done()) continue;
    expects_stop_ = event.done().stopped();
    break;
  }
  world_->clients[options_.request_id] = this;
}

SimulatedClient& SimulatedClient::Of(SimulationWorld* world,
                                     const std::string& wire_id) {
  return *world->clients.at(wire_id.substr(0, wire_id.find('/')));
}

void SimulatedClient::Start(std::shared_ptr<RoutedRequest> request) {
  world_->Trace(options_.request_id, " starts, ", expected_.size(), " tokens");
  request_ = std::move(request);
  // A copy: an error may come at once and end it.
  const std::shared_ptr<RoutedRequest> started = request_;
  started->Start();
}

void SimulatedClient::Cancel(const std::string& why) {
  if (has_ended_) return;
  const std::shared_ptr<RoutedRequest> request = request_;
  End(why);
  request->Cancel();
}

void SimulatedClient::NoteDispatch() {
  ++num_dispatches_;
  if (has_ended_) {
    world_->Violate(options_.request_id, " goes on after its end");
  }
  if (lost_twice_) {
    world_->Violate(options_.request_id, " took two groups at token ",
                    tokens_.size(), " and is given to a third");
  }
  if (num_dispatches_ > 1 && world_->now() >= options_.deadline) {
    world_->Violate(options_.request_id, " is retried after its deadline");
  }
}

void SimulatedClient::NoteLoss() {
  last_end_ = world_->now();
  lost_twice_ = lost_at_.has_value() && tokens_.size() <= *lost_at_;
  lost_at_ = tokens_.size();
}

void SimulatedClient::NoteEnd(const worker::v1::Done& done) {
  if (done.code() == grpc::StatusCode::OK) return;
  last_end_ = world_->now();
  if (done.error_reason() == "WORKER_LOST") NoteLoss();
  failed_by_group_ = done.code() == grpc::StatusCode::INTERNAL;
}

bool SimulatedClient::AcceptsResume(
    const worker::v1::GenerateCommand& command) {
  const auto& resume = command.resume_ids();
  if (resume.size() <= static_cast<int>(expected_.size()) &&
      std::equal(resume.begin(), resume.end(), expected_.begin())) {
    return true;
  }
  world_->Violate(options_.request_id, " resumes with ", resume.size(),
                  " tokens that are not the first of its own");
  return false;
}

void SimulatedClient::OnRoutedEvent(int /*index*/,
                                    const worker::v1::RequestEvent& event) {
  if (has_ended_) {
    world_->Violate(options_.request_id, " is told more after its end");
    return;
  }
  tokens_.insert(tokens_.end(), event.token_ids().begin(),
                 event.token_ids().end());
  if (tokens_.size() > expected_.size() ||
      !std::equal(tokens_.begin(), tokens_.end(), expected_.begin())) {
    world_->Violate(options_.request_id, " has wrong tokens among its ",
                    tokens_.size());
  }
  if (!event.has_done()) return;
  const worker::v1::Done& done = event.done();
  if (tokens_.size() != expected_.size() ||
      done.completion_tokens() != static_cast<int>(expected_.size()) ||
      done.stopped() != expects_stop_) {
    world_->Violate(options_.request_id, " ends with ", tokens_.size(),
                    " tokens instead of ", expected_.size());
  }
  End("OK");
}

void SimulatedClient::OnRoutedRestart(int /*index*/) {
  if (has_ended_ || !options_.restart_after_tokens) {
    world_->Violate(options_.request_id, " must not begin anew");
  }
  tokens_.clear();
}

void SimulatedClient::OnRoutedError(int /*index*/, const RpcError& error) {
  if (has_ended_) {
    world_->Violate(options_.request_id, " ends twice");
    return;
  }
  if (ExcuseFor(error).empty()) {
    world_->Violate(options_.request_id, " fails without cause: ", error.reason,
                    " ", error.message);
  }
  const bool two_losses = error.code == grpc::StatusCode::INTERNAL &&
                          lost_twice_ && !failed_by_group_;
  End(two_losses ? num_victims_ > 0 ? "POISON" : "TWO_LOSSES" : error.reason);
}

std::string SimulatedClient::ExcuseFor(const RpcError& error) const {
  const ResumeOptions& resume = options_.resume;
  const bool tried_often = num_dispatches_ >= resume.max_attempts;
  switch (error.code) {
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return world_->now() >= options_.deadline ? "late" : "";
    case grpc::StatusCode::INTERNAL:
      if (failed_by_group_) return "failed by a group";
      return lost_twice_ ? "poison" : "";
    case grpc::StatusCode::UNAVAILABLE:
      if (num_dispatches_ == 0) {
        return error.reason == kNoHealthyWorker ? "nobody there" : "";
      }
      // Nothing shown yet: the client may repeat it.
      if (tokens_.empty()) return "before the first token";
      return options_.restart_after_tokens ? "unary" : "";
    case grpc::StatusCode::ABORTED:
      if (tokens_.empty()) return "";
      if (!resume.mid_stream_resume || tried_often) return "not to be resumed";
      return world_->now() - last_end_ >= resume.resume_timeout ? "waited" : "";
    default:
      return "";
  }
}

void SimulatedClient::End(const std::string& outcome) {
  world_->Trace(options_.request_id, " ends: ", outcome, ", ", tokens_.size(),
                " tokens");
  has_ended_ = true;
  outcome_ = outcome;
  request_.reset();
}

}  // namespace blockserve
