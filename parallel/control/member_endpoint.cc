#include "parallel/control/member_endpoint.h"

#include <utility>
#include <variant>

#include "runtime/base/monotonic_clock.h"

namespace blockserve {

std::unique_ptr<GroupEndpoint> MemberEndpoint::Start(
    const RankConfig& config, const std::string& leader_address,
    std::function<void(const absl::Status&)> on_broken) {
  std::unique_ptr<MemberEndpoint> endpoint(
      new MemberEndpoint(config, leader_address, std::move(on_broken)));
  endpoint->StartTimer();
  return endpoint;
}

MemberEndpoint::MemberEndpoint(
    const RankConfig& config, const std::string& leader_address,
    std::function<void(const absl::Status&)> on_broken)
    : EndpointBase(std::move(on_broken)),
      leader_address_(leader_address),
      connect_timeout_(config.handshake_timeout),
      step_timeout_(config.step_timeout),
      state_(config, MonotonicNow()) {}

MemberEndpoint::~MemberEndpoint() { MemberEndpoint::Shutdown(); }

void MemberEndpoint::PerformActions() {
  for (MemberAction& action : state_.TakeActions()) {
    if (auto* open = std::get_if<OpenStream>(&action)) {
      Open(open->stream);
    } else if (auto* send = std::get_if<SendToLeader>(&action)) {
      const auto stream = streams_.find(send->stream);
      if (stream != streams_.end())
        stream->second->Send(std::move(send->frame));
    } else if (auto* abandon = std::get_if<AbandonStream>(&action)) {
      const auto stream = streams_.find(abandon->stream);
      if (stream != streams_.end()) stream->second->Cancel();
    }
  }
}

void MemberEndpoint::Open(StreamId id) {
  streams_[id] = MemberStream::Open(
      leader_address_, connect_timeout_, step_timeout_,
      {[this, id](const group::v1::LeaderFrame& frame) { OnFrame(id, frame); },
       [this, id](const absl::Status& why) { OnDone(id, why); }});
}

void MemberEndpoint::OnFrame(StreamId id, const group::v1::LeaderFrame& frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (shut_down_) return;
  state_.OnFrame(id, frame, MonotonicNow());
  Settle();
}

void MemberEndpoint::OnDone(StreamId id, const absl::Status& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto stream = streams_.find(id);
  FreeLater(std::move(stream->second));
  streams_.erase(stream);
  changed_.notify_all();
  if (shut_down_) return;
  state_.OnClosed(id, why, MonotonicNow());
  Settle();
}

void MemberEndpoint::Shutdown() {
  if (!Stop()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  for (const auto& [id, stream] : streams_) stream->Cancel();
  // They call this object until they are done. The destructor frees them.
  changed_.wait(lock, [&] { return streams_.empty(); });
}

}  // namespace blockserve
