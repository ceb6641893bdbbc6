#include "parallel/control/testing/simulated_rank.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace blockserve {

using group::v1::LeaderFrame;
using group::v1::MemberFrame;

namespace {

constexpr int kMaxTicksAtOnce = 100;

template <typename Frame>
std::string Describe(const Frame& frame) {
  std::string text = frame.ShortDebugString();
  // Nonces and proofs are many bytes and say nothing.
  if (text.size() > 120) text.resize(120);
  return text;
}

}  // namespace

SimulatedRank::SimulatedRank(SimulationWorld* world, SimulatedRole role,
                             RankConfig config)
    : world_(world), role_(role), config_(std::move(config)) {
  // Draws of its own: what a process does shall not depend on what others drew.
  auto random = std::make_shared<SimulationRandom>(world_->random.Next());
  config_.random = [random] { return random->Next(); };
  config_.incarnation = world_->random.Next() | 1;
  const absl::Time now = world_->events.now();
  if (config_.rank == 0) {
    leader_ = std::make_unique<LeaderState>(config_, now);
  } else {
    member_ = std::make_unique<MemberState>(config_, now);
  }
  world_->Trace("p", number(), " starts as rank ", rank(), " incarnation ",
                config_.incarnation);
  user_ = std::make_unique<SimulatedUser>(
      world_, role_, &state(), leader_.get(),
      [this](absl::Duration delay, std::function<void()> act) {
        UserAfter(delay, std::move(act));
      });
  ScheduleTick();
}

RankState& SimulatedRank::state() {
  if (leader_) return *leader_;
  return *member_;
}
const RankState& SimulatedRank::state() const {
  if (leader_) return *leader_;
  return *member_;
}

void SimulatedRank::Input(std::function<void()> input) {
  if (!alive_) return;
  if (stopped_) {
    inbox_.push_back(std::move(input));
    return;
  }
  input();
  Settle();
}

void SimulatedRank::UserAfter(absl::Duration delay, std::function<void()> act) {
  world_->events.After(delay, [this, act = std::move(act)] {
    Input([this, act] {
      if (user_hangs_) {
        deferred_.push_back(act);
      } else {
        act();
      }
    });
  });
}

void SimulatedRank::Settle() {
  for (auto events = state().TakeEvents(); !events.empty();
       events = state().TakeEvents()) {
    for (const LocalEvent& event : events) user_->Handle(event);
  }
  if (leader_) {
    for (LeaderAction& action : leader_->TakeActions()) {
      Perform(std::move(action));
    }
  } else {
    for (MemberAction& action : member_->TakeActions()) {
      Perform(std::move(action));
    }
  }
  ScheduleTick();
}

void SimulatedRank::ScheduleTick() {
  const absl::Time next = state().NextTick();
  if (next >= tick_at_ || next == absl::InfiniteFuture()) return;
  tick_at_ = next;
  world_->events.At(next, [this, next] {
    if (tick_at_ != next) return;  // an earlier one came instead
    tick_at_ = absl::InfiniteFuture();
    Input([this] { OnTick(); });
  });
}

void SimulatedRank::OnTick() {
  const absl::Time now = world_->events.now();
  num_ticks_at_once_ = now == last_tick_ ? num_ticks_at_once_ + 1 : 0;
  last_tick_ = now;
  if (num_ticks_at_once_ > kMaxTicksAtOnce) {
    world_->checker.Fail(absl::StrCat("process ", number(), " spins"));
    return;
  }
  state().Tick(now);
}

void SimulatedRank::OnFrame(StreamId stream, const MemberFrame& frame) {
  world_->Trace("p", number(), " <- stream ", stream, ": ", Describe(frame));
  leader_->OnFrame(stream, frame, world_->events.now());
}

void SimulatedRank::OnFrame(StreamId stream, const LeaderFrame& frame) {
  world_->Trace("p", number(), " <- stream ", stream, ": ", Describe(frame));
  member_->OnFrame(stream, frame, world_->events.now());
}

void SimulatedRank::OnClosed(StreamId stream, const absl::Status& why) {
  Link& link = links_[stream];
  if (std::exchange(link.closed, true)) return;
  world_->Trace("p", number(), " stream ", stream, " ended: ", why.ToString());
  if (leader_) {
    world_->checker.OnStreamOver(number(), stream);
    leader_->OnClosed(stream, why, world_->events.now());
  } else {
    member_->OnClosed(stream, why, world_->events.now());
  }
}

void SimulatedRank::Opened(SimulatedNetwork::LinkId id, SimulatedRank* member,
                           StreamId member_stream) {
  Input([this, id, member, member_stream] {
    links_[id] = {id, member, member_stream, false};
    leader_->OnOpened(id, absl::StrCat("host", member->host()),
                      world_->events.now());
  });
}

void SimulatedRank::OpenStreamToLeader(StreamId stream) {
  SimulatedRank* leader = world_->leader;
  const auto id = world_->network.AddLink(role_.host);
  links_[stream] = {id, leader, id, false};
  world_->network.Send(id, Direction::kToLeader, [this, leader, id, stream] {
    if (leader->alive()) {
      leader->Opened(id, this, stream);
      return;
    }
    world_->network.Send(id, Direction::kToMember, [this, stream] {
      Input([this, stream] {
        OnClosed(stream, absl::UnavailableError("connection refused"));
      });
    });
  });
}

void SimulatedRank::SendFrame(StreamId stream, MemberFrame frame) {
  const Link& link = links_[stream];
  if (link.closed) return;
  world_->network.Send(
      link.id, Direction::kToLeader,
      [leader = link.peer, to = link.peer_stream, frame = std::move(frame)] {
        leader->Input([=] { leader->OnFrame(to, frame); });
      });
}

void SimulatedRank::SendRaw(const std::vector<MemberFrame>& frames) {
  if (!alive_) return;
  const StreamId stream = ++last_raw_stream_;
  OpenStreamToLeader(stream);
  for (const MemberFrame& frame : frames) SendFrame(stream, frame);
}

void SimulatedRank::CloseLink(StreamId stream, const absl::Status& why) {
  Link& link = links_[stream];
  if (std::exchange(link.closed, true)) return;
  if (leader_) world_->checker.OnStreamOver(number(), stream);
  world_->network.Send(link.id, outward(),
                       [peer = link.peer, peer_stream = link.peer_stream, why] {
                         peer->Input([=] { peer->OnClosed(peer_stream, why); });
                       });
}

void SimulatedRank::Perform(MemberAction action) {
  if (auto* open = std::get_if<OpenStream>(&action)) {
    OpenStreamToLeader(open->stream);
  } else if (auto* send = std::get_if<SendToLeader>(&action)) {
    if (role_.may_join && send->frame.has_hello()) {
      world_->recorded_hello = send->frame;
    } else if (role_.may_join && send->frame.has_claim()) {
      world_->recorded_claim = send->frame;
    }
    SendFrame(send->stream, std::move(send->frame));
  } else if (auto* abandon = std::get_if<AbandonStream>(&action)) {
    CloseLink(abandon->stream, absl::CancelledError("abandoned"));
  }
}

void SimulatedRank::Perform(LeaderAction action) {
  if (auto* send = std::get_if<SendToMember>(&action)) {
    Link& link = links_[send->stream];
    if (link.closed) {
      world_->checker.Fail("the leader sends on a stream that is over");
      return;
    }
    const LeaderFrame& frame = send->frame;
    if (frame.has_accepted()) {
      world_->checker.OnAccepted(number(), link.peer->rank(), send->stream,
                                 link.peer->role_.may_join);
    } else if (!frame.has_challenge() && !link.peer->role_.may_join) {
      world_->checker.Fail(
          absl::StrCat("a stranger is told ", frame.ShortDebugString()));
    }
    // To the state machine even if it has given up the stream: in a driver's
    // threads a frame may already be on its way.
    world_->network.Send(
        link.id, Direction::kToMember,
        [member = link.peer, stream = link.peer_stream,
         frame = std::move(send->frame)] {
          member->Input([=] { member->OnFrame(stream, frame); });
        });
  } else if (auto* close = std::get_if<CloseStream>(&action)) {
    CloseLink(close->stream, close->status);
  }
}

void SimulatedRank::Kill(bool silently) {
  if (!alive_) return;
  world_->Trace("p", number(), silently ? " and its host die" : " is killed");
  alive_ = false;
  world_->checker.OnDied(id());
  for (auto& [stream, link] : links_) {
    if (silently) {
      if (leader_) world_->checker.OnStreamOver(number(), stream);
      link.closed = true;
    } else {
      CloseLink(stream, absl::UnavailableError("connection reset"));
    }
  }
}

void SimulatedRank::Stop() {
  if (!alive_ || stopped_) return;
  world_->Trace("p", number(), " is stopped");
  stopped_ = true;
}

void SimulatedRank::Continue() {
  if (!alive_ || !stopped_) return;
  world_->Trace("p", number(), " continues");
  stopped_ = false;
  // Its timer may wake before its sockets are read, or after.
  auto inputs = std::exchange(inbox_, {});
  if (world_->random.Chance(50)) Input([this] { OnTick(); });
  for (auto& input : inputs) Input(std::move(input));
  Input([this] { OnTick(); });
}

void SimulatedRank::HangUser() {
  world_->Trace("p", number(), "'s user hangs");
  user_hangs_ = true;
}

void SimulatedRank::WakeUser() {
  if (!std::exchange(user_hangs_, false)) return;
  world_->Trace("p", number(), "'s user goes on");
  for (auto& act : std::exchange(deferred_, {})) Input(std::move(act));
}

void SimulatedRank::FailEpoch() {
  Input([this] {
    world_->Trace("p", number(), " fails its epoch");
    state().Fail(absl::UnavailableError("collective failed"),
                 world_->events.now());
  });
}

void SimulatedRank::BreakStream() {
  if (!alive_ || leader_ || links_.empty()) return;
  const auto& [stream, link] = *links_.rbegin();  // the newest
  if (link.closed) return;
  world_->Trace("p", number(), " stream ", stream, " breaks");
  const absl::Status why = absl::UnavailableError("connection reset");
  SimulatedRank* leader = link.peer;
  const StreamId leader_stream = link.peer_stream;
  Input([this, stream = stream, why] { OnClosed(stream, why); });
  // The ends may hear of it at different times.
  world_->events.After(
      world_->random.Between(absl::ZeroDuration(), absl::Milliseconds(300)),
      [leader, leader_stream, why] {
        leader->Input([=] { leader->OnClosed(leader_stream, why); });
      });
}

}  // namespace blockserve
