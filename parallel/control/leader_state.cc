#include "parallel/control/leader_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "parallel/control/frame_conversion.h"

namespace blockserve {

using group::v1::LeaderFrame;
using group::v1::MemberFrame;

namespace {

// Heartbeats that a rank may miss until a late step is taken for its fault.
constexpr int kSilentBeats = 3;

}  // namespace

LeaderState::LeaderState(RankConfig config, absl::Time /*now*/)
    : config_(std::move(config)),
      members_(static_cast<size_t>(config_.world_size)),
      step_times_(config_.world_size) {}

void LeaderState::OnOpened(StreamId stream, std::string peer, absl::Time now) {
  if (strangers_.IsFull()) {
    Refuse(strangers_.Oldest(),
           RefuseStranger("flood", absl::StrCat("more than ", kMaxStrangers,
                                                " unfinished joins")),
           now);
  }
  strangers_.Add(stream, std::move(peer), now + config_.handshake_timeout);
}

void LeaderState::OnFrame(StreamId stream, const MemberFrame& frame,
                          absl::Time now) {
  if (const int rank = RankOf(stream); rank >= 0) {
    OnMemberFrame(rank, frame, now);
  } else if (strangers_.Find(stream) != nullptr) {
    OnHandshake(stream, frame, now);
  }
}

void LeaderState::OnClosed(StreamId stream, const absl::Status& why,
                           absl::Time now) {
  strangers_.Erase(stream);
  const int rank = RankOf(stream);
  if (rank < 0) return;
  Lose(rank,
       absl::UnavailableError(absl::StrCat("stream ended: ", why.message())),
       now);
}

void LeaderState::OnHandshake(StreamId stream, const MemberFrame& frame,
                              absl::Time now) {
  Admission& admission = strangers_.Find(stream)->admission;
  Refusal refusal;
  if (frame.has_hello()) {
    LeaderFrame answer;
    if (admission.OnHello(frame.hello(), config_, answer.mutable_challenge(),
                          &refusal)) {
      actions_.push_back(SendToMember{stream, std::move(answer)});
      return;
    }
  } else if (frame.has_claim()) {
    if (admission.OnClaim(frame.claim(), config_, &refusal) &&
        HasRoomFor(frame.claim(), &refusal)) {
      Join(stream, frame.claim(), now);
      return;
    }
  } else {
    refusal = RefuseStranger("malformed", "neither hello nor claim");
  }
  Refuse(stream, refusal, now);
}

bool LeaderState::HasRoomFor(const group::v1::Claim& claim,
                             Refusal* refusal) const {
  const auto& member = members_[static_cast<size_t>(claim.rank())];
  if (member == nullptr || member->incarnation == claim.incarnation() ||
      config_.planted.accept_duplicates) {
    return true;
  }
  if (claim.last_epoch() != 0 && claim.last_epoch() < last_epoch_) {
    *refusal = RefuseRank(
        "old_epoch",
        absl::AlreadyExistsError(absl::StrCat(
            "rank ", claim.rank(), " was last in epoch ", claim.last_epoch(),
            ", the group is in epoch ", last_epoch_,
            " with another process at ", member->peer, " in its place")));
  } else {
    *refusal = RefuseRank(
        "duplicate",
        absl::AlreadyExistsError(absl::StrCat(
            "rank ", claim.rank(), " is there already, from ", member->peer)));
  }
  return false;
}

void LeaderState::Join(StreamId stream, const group::v1::Claim& claim,
                       absl::Time now) {
  const StrangerStreams::Stranger stranger = strangers_.Take(stream);
  auto& place = members_[static_cast<size_t>(claim.rank())];
  if (place != nullptr && (place->incarnation == claim.incarnation() ||
                           !config_.planted.accept_duplicates)) {
    // The process itself on a new stream: it has given up the old one.
    Lose(claim.rank(), absl::UnavailableError("came back on a new stream"),
         now);
  }
  const bool is_new = place == nullptr;
  place = std::make_unique<Member>(
      Member{stream, stranger.peer, claim.host_id(), claim.incarnation(),
             claim.last_epoch(), /*ready=*/false,
             LifeSigns(config_.heartbeat_interval, config_.step_timeout, now)});
  LeaderFrame answer;
  *answer.mutable_accepted() = stranger.admission.Accept(claim, config_);
  Send(*place, std::move(answer));
  if (is_new) {
    Log(LogLine::kInfo,
        absl::StrCat("rank ", claim.rank(), " at ", place->peer,
                     " joined; last in epoch ", place->last_epoch));
  }
}

void LeaderState::Refuse(StreamId stream, const Refusal& refusal,
                         absl::Time now) {
  const std::string peer = strangers_.Take(stream).peer;
  actions_.push_back(CloseStream{stream, refusal.status});
  if (auto line = refusals_.Add(peer, refusal, now)) {
    Log(LogLine::kWarning, *std::move(line));
  }
}

void LeaderState::OnMemberFrame(int rank, const MemberFrame& frame,
                                absl::Time now) {
  Member& member = *members_[static_cast<size_t>(rank)];
  member.life.OnFrame(now);
  if (frame.has_heartbeat()) {
    member.life.OnHeartbeat(frame.heartbeat());
    return;
  }
  if (frame.has_ready()) {
    OnReady(rank, frame.ready(), now);
    return;
  }
  const bool is_current =
      epoch_ && frame.epoch().number() == epoch_->number() &&
      frame.epoch().leader_incarnation() == config_.incarnation;
  if (!is_current && !(epoch_ && config_.planted.skip_fencing)) {
    DropStale(rank, frame);
    return;
  }
  if (frame.has_step()) {
    AddReport(rank, FromProto(frame.step()), now);
  } else if (frame.has_blob()) {
    AddBlob(rank, frame.blob().data(), now);
  } else if (frame.has_failure()) {
    const absl::Status why = FromProto(frame.failure());
    BreakEpoch(absl::Status(why.code(),
                            absl::StrCat("rank ", rank, ": ", why.message())));
  } else {
    Lose(rank, absl::InternalError("sent a frame out of place"), now);
  }
}

void LeaderState::OnReady(int rank, const group::v1::Ready& ready,
                          absl::Time now) {
  Member& member = *members_[static_cast<size_t>(rank)];
  // From before the last formation reached the rank.
  if (ready.last_epoch() < member.last_epoch) return;
  if (epoch_ && ready.last_epoch() == epoch_->number()) {
    BreakEpoch(absl::AbortedError(
        absl::StrCat("rank ", rank, " waits for a new epoch")));
  }
  member.last_epoch = ready.last_epoch();
  member.ready = ready.ready();
  FormIfAllReady(now);
}

// What a rank sent before it heard that its epoch is over. It has been told,
// or will have to form anew to be heard.
void LeaderState::DropStale(int rank, const MemberFrame& frame) {
  refusals_.Count(
      "stale_frame",
      absl::StrCat("frame of rank ", rank, " of epoch ", frame.epoch().number(),
                   ", the group is in ",
                   epoch_ ? absl::StrCat(epoch_->number()) : "none"));
}

void LeaderState::Lose(int rank, const absl::Status& why, absl::Time /*now*/) {
  auto& place = members_[static_cast<size_t>(rank)];
  const std::unique_ptr<Member> member = std::move(place);
  step_times_.Reset(rank);
  const std::string text =
      absl::StrCat("rank ", rank, " at ", member->peer, ": ", why.message());
  Log(LogLine::kWarning, absl::StrCat("lost ", text));
  actions_.push_back(CloseStream{
      member->stream, absl::UnavailableError(absl::StrCat("lost: ", text)),
      /*at_once=*/true});
  BreakEpoch(absl::UnavailableError(absl::StrCat("lost ", text)));
}

void LeaderState::FormIfAllReady(absl::Time now) {
  if (epoch_ || !forming_) return;
  uint64_t newest = last_epoch_;
  Formation formation;
  formation.one_host = true;
  formation.ranks.push_back({0, config_.host_id, config_.address});
  for (int rank = 1; rank < config_.world_size; ++rank) {
    const auto& member = members_[static_cast<size_t>(rank)];
    if (member == nullptr || !member->ready) return;
    if (!config_.planted.forget_epochs) {
      newest = std::max(newest, member->last_epoch);
    }
    formation.one_host &= member->host_id == config_.host_id;
    formation.ranks.push_back({rank, member->host_id, member->peer});
  }
  last_epoch_ = newest + 1;
  formation.epoch = last_epoch_;
  formation.leader_incarnation = config_.incarnation;
  epoch_.emplace(
      last_epoch_,
      LiveEpoch::Limits{config_.world_size, config_.step_timeout,
                        config_.exchange_timeout, config_.max_plans_in_flight},
      now);
  forming_ = false;
  ++num_formed_;
  LeaderFrame frame = NewFrame();
  *frame.mutable_formation() = ToProto(formation);
  SendToAll(frame);
  for (const auto& member : members_) {
    if (member == nullptr) continue;
    member->ready = false;
    member->last_epoch = last_epoch_;
  }
  Log(LogLine::kInfo,
      absl::StrCat("epoch ", last_epoch_, " of ", config_.world_size,
                   " ranks, ",
                   formation.one_host ? "one host" : "several hosts"));
  Emit(EpochFormed{std::move(formation)});
}

absl::StatusOr<uint64_t> LeaderState::SendPlan(absl::string_view payload,
                                               absl::Time now) {
  if (!epoch_) {
    return absl::FailedPreconditionError(
        absl::StrCat("no epoch: ", last_error_.message()));
  }
  const absl::StatusOr<uint64_t> number = epoch_->AddPlan(now);
  if (!number.ok()) {
    BreakEpoch(number.status());
    return number;
  }
  LeaderFrame frame = NewFrame();
  frame.mutable_plan()->set_number(*number);
  frame.mutable_plan()->set_payload(payload.data(), payload.size());
  SendToAll(frame);
  return number;
}

void LeaderState::AddReport(int rank, const StepReport& report,
                            absl::Time now) {
  if (const absl::Status status = epoch_->Report(rank, report.step, now);
      !status.ok()) {
    BreakEpoch(status);
    return;
  }
  step_times_.Add(rank, report);
  const int straggler = step_times_.Straggler();
  if (straggler == straggler_) return;
  straggler_ = straggler;
  if (straggler < 0) {
    Log(LogLine::kInfo, "no rank is a straggler any more");
    return;
  }
  Log(LogLine::kWarning,
      absl::StrCat("rank ", straggler, " is a straggler: of ",
                   absl::FormatDuration(step_times_.step_time(straggler)),
                   " a step it waits only ",
                   absl::FormatDuration(step_times_.collective_time(straggler)),
                   " for others"));
}

void LeaderState::AddBlob(int rank, std::string blob, absl::Time now) {
  auto blobs = epoch_->AddBlob(rank, std::move(blob), now);
  if (!blobs) return;
  LeaderFrame frame = NewFrame();
  frame.mutable_blobs()->set_index(epoch_->num_exchanges());
  for (const std::string& part : *blobs) frame.mutable_blobs()->add_data(part);
  SendToAll(frame);
  Emit(BlobsArrived{*std::move(blobs)});
}

void LeaderState::BreakEpoch(const absl::Status& why) {
  if (!epoch_) return;
  last_error_ = why;
  LeaderFrame frame = NewFrame();
  *frame.mutable_failure() = ToProto(why);
  SendToAll(frame);
  Log(LogLine::kWarning,
      absl::StrCat("epoch ", epoch_->number(), " is over: ", why.message()));
  epoch_.reset();
  straggler_ = -1;
  for (int rank = 0; rank < config_.world_size; ++rank) step_times_.Reset(rank);
  Emit(EpochBroken{why});
}

// Ranks wait for each other in collectives, so one that hangs makes all late:
// those that are silent as well are lost, the others are told to give up.
void LeaderState::BreakIfLate(absl::Time now) {
  if (!epoch_) return;
  const std::vector<int> late = epoch_->LateRanks(now);
  if (late.empty()) return;
  std::vector<int> silent;
  for (const int rank : late) {
    const auto& member = members_[static_cast<size_t>(rank)];
    if (member != nullptr && member->life.SilentFor(now) >
                                 kSilentBeats * config_.heartbeat_interval) {
      silent.push_back(rank);
    }
  }
  for (const int rank : silent) {
    Lose(rank,
         absl::DeadlineExceededError(absl::StrCat(
             "late, and nothing heard for ",
             absl::FormatDuration(
                 members_[static_cast<size_t>(rank)]->life.SilentFor(now)))),
         now);
  }
  BreakEpoch(absl::DeadlineExceededError(
      absl::StrCat("ranks ", absl::StrJoin(late, ", "),
                   " are late with a step or an exchange")));
}

void LeaderState::Tick(absl::Time now) {
  while (const auto late = strangers_.FindLate(now)) {
    Refuse(*late,
           RefuseStranger("handshake_timeout", "did not finish its join"), now);
  }
  for (int rank = 1; rank < config_.world_size; ++rank) {
    auto& member = members_[static_cast<size_t>(rank)];
    if (member == nullptr) continue;
    if (const absl::Status alive = member->life.Check(now); !alive.ok()) {
      Lose(rank, alive, now);
    } else if (member->life.IsBeatDue(now)) {
      LeaderFrame frame;
      *frame.mutable_heartbeat() = member->life.Beat(now);
      Send(*member, std::move(frame));
    }
  }
  BreakIfLate(now);
}

absl::Time LeaderState::NextTick() const {
  absl::Time next = epoch_ ? epoch_->NextDeadline() : absl::InfiniteFuture();
  next = std::min(next, strangers_.NextDeadline());
  for (const auto& member : members_) {
    if (member != nullptr) next = std::min(next, member->life.NextChange());
  }
  return next;
}

void LeaderState::BeginForm(absl::Time now) {
  BreakEpoch(absl::AbortedError("rank 0 waits for a new epoch"));
  forming_ = true;
  FormIfAllReady(now);
}

void LeaderState::CancelForm(absl::Time /*now*/) { forming_ = false; }

std::string LeaderState::DescribeWait() const {
  std::vector<std::string> missing;
  for (int rank = 1; rank < config_.world_size; ++rank) {
    const auto& member = members_[static_cast<size_t>(rank)];
    if (member == nullptr) {
      missing.push_back(absl::StrCat("rank ", rank, " has not joined"));
    } else if (!member->ready) {
      missing.push_back(absl::StrCat("rank ", rank,
                                     " has joined, but does not "
                                     "wait for an epoch"));
    }
  }
  return absl::StrCat(absl::StrJoin(missing, "; "),
                      refusals_.last().empty()
                          ? ""
                          : absl::StrCat("; last refused: ", refusals_.last()));
}

void LeaderState::PutBlob(std::string blob, absl::Time now) {
  if (epoch_) AddBlob(0, std::move(blob), now);
}

void LeaderState::Report(const StepReport& report, absl::Time now) {
  if (epoch_) AddReport(0, report, now);
}

void LeaderState::Fail(const absl::Status& why, absl::Time /*now*/) {
  BreakEpoch(absl::Status(why.code(), absl::StrCat("rank 0: ", why.message())));
}

GroupSnapshot LeaderState::snapshot() const {
  GroupSnapshot snapshot;
  snapshot.epoch = epoch();
  for (int rank = 0; rank < config_.world_size; ++rank) {
    RankStatus status;
    status.up = rank == 0 || members_[static_cast<size_t>(rank)] != nullptr;
    status.last_step = epoch_ ? epoch_->last_step(rank) : 0;
    status.step_time = step_times_.step_time(rank);
    status.collective_time = step_times_.collective_time(rank);
    snapshot.ranks.push_back(status);
  }
  snapshot.straggler = straggler_;
  snapshot.rebuilds = std::max<int64_t>(num_formed_ - 1, 0);
  snapshot.last_error = last_error_;
  snapshot.refusals = refusals_.counts();
  return snapshot;
}

void LeaderState::Send(const Member& member, LeaderFrame frame) {
  actions_.push_back(SendToMember{member.stream, std::move(frame)});
}

void LeaderState::SendToAll(const LeaderFrame& frame) {
  for (const auto& member : members_) {
    if (member != nullptr) Send(*member, frame);
  }
}

LeaderFrame LeaderState::NewFrame() const {
  LeaderFrame frame;
  frame.mutable_epoch()->set_number(epoch_->number());
  frame.mutable_epoch()->set_leader_incarnation(config_.incarnation);
  return frame;
}

int LeaderState::RankOf(StreamId stream) const {
  for (size_t rank = 0; rank < members_.size(); ++rank) {
    if (members_[rank] != nullptr && members_[rank]->stream == stream) {
      return static_cast<int>(rank);
    }
  }
  return -1;
}

}  // namespace blockserve
