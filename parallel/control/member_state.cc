#include "parallel/control/member_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "parallel/control/frame_conversion.h"

namespace blockserve {

using group::v1::LeaderFrame;
using group::v1::MemberFrame;

namespace {

constexpr absl::Duration kMinWait = absl::Milliseconds(50);
constexpr absl::Duration kMaxWait = absl::Seconds(1);
constexpr int kMaxDoublings = 5;  // 50 ms to beyond 1 s

// Whether trying again is of no use until somebody changes something. A place
// that is taken (ALREADY_EXISTS) may become free.
bool IsFinal(const absl::Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status);
}

}  // namespace

MemberState::MemberState(RankConfig config, absl::Time now)
    : config_(std::move(config)), next_connect_(now) {}

void MemberState::Connect(absl::Time now) {
  ++stream_;
  phase_ = Phase::kSaidHello;
  handshake_deadline_ = now + config_.handshake_timeout;
  nonces_ = {MakeNonce(config_.random), ""};
  actions_.push_back(OpenStream{stream_});
  MemberFrame frame;
  frame.mutable_hello()->set_nonce(nonces_.member);
  Send(std::move(frame));
}

// The stream is over, or is given up.
void MemberState::Disconnect(const absl::Status& why, absl::Time now) {
  const bool was_joined = phase_ == Phase::kJoined;
  if (was_joined) num_failed_attempts_ = 0;
  phase_ = Phase::kDisconnected;
  life_.reset();
  // Jittered downwards, so that ranks that lost their leader together do not
  // come back together.
  const double share = static_cast<double>(config_.random() >> 11) * 0x1.0p-53;
  const absl::Duration wait =
      std::min(kMaxWait,
               kMinWait * (1 << std::min(num_failed_attempts_, kMaxDoublings)));
  next_connect_ = now + std::max(kMinWait, wait * (0.5 + 0.5 * share));
  if (was_joined || why.code() != last_disconnect_.code()) {
    Log(LogLine::kWarning,
        absl::StrCat(was_joined ? "lost the leader: " : "cannot join: ",
                     why.ToString()));
  }
  ++num_failed_attempts_;
  last_disconnect_ = why;
  BreakEpoch(
      absl::UnavailableError(absl::StrCat("lost the leader: ", why.message())));
  if (IsFinal(why)) Refused(why);
}

void MemberState::Refused(const absl::Status& why) {
  refused_ = true;
  if (!forming_) return;
  forming_ = false;
  Emit(FormRefused{why});
}

void MemberState::OnFrame(StreamId stream, const LeaderFrame& frame,
                          absl::Time now) {
  const bool is_current = stream == stream_ && phase_ != Phase::kDisconnected;
  if (!is_current) {
    if (config_.planted.skip_fencing && phase_ == Phase::kJoined &&
        !frame.has_formation()) {
      OnJoinedFrame(frame, now);
    }
    return;
  }
  if (phase_ == Phase::kSaidHello && frame.has_challenge()) {
    OnChallenge(frame.challenge());
  } else if (phase_ == Phase::kClaimed && frame.has_accepted()) {
    OnAccepted(frame.accepted(), now);
  } else if (phase_ == Phase::kJoined) {
    life_->OnFrame(now);
    OnJoinedFrame(frame, now);
  } else {
    actions_.push_back(AbandonStream{stream_});
    Disconnect(absl::UnavailableError("the leader's handshake is none"), now);
  }
}

void MemberState::OnClosed(StreamId stream, const absl::Status& why,
                           absl::Time now) {
  if (stream != stream_ || phase_ == Phase::kDisconnected) return;
  // Once joined, only the stream has ended, whatever its code says.
  if (phase_ == Phase::kJoined && IsFinal(why)) {
    Disconnect(absl::UnavailableError(why.message()), now);
    return;
  }
  Disconnect(
      why.ok() ? absl::UnavailableError("the leader ended the stream") : why,
      now);
}

void MemberState::OnChallenge(const group::v1::Challenge& challenge) {
  phase_ = Phase::kClaimed;
  nonces_.leader = challenge.nonce();
  MemberFrame frame;
  group::v1::Claim* claim = frame.mutable_claim();
  claim->set_protocol_version(kGroupProtocolVersion);
  claim->set_rank(config_.rank);
  claim->set_world_size(config_.world_size);
  claim->set_model_fingerprint(config_.model_fingerprint);
  claim->set_build_version(config_.build_version);
  claim->set_host_id(config_.host_id);
  claim->set_incarnation(config_.incarnation);
  claim->set_last_epoch(last_epoch_);
  claim->set_proof(MemberProof(config_.secret, nonces_, *claim));
  Send(std::move(frame));
}

void MemberState::OnAccepted(const group::v1::Accepted& accepted,
                             absl::Time now) {
  if (!SameProof(LeaderProof(config_.secret, nonces_, config_.rank,
                             accepted.leader_incarnation()),
                 accepted.proof())) {
    actions_.push_back(AbandonStream{stream_});
    Disconnect(absl::UnauthenticatedError(
                   "the leader has not proven that it has the secret"),
               now);
    return;
  }
  phase_ = Phase::kJoined;
  leader_incarnation_ = accepted.leader_incarnation();
  num_failed_attempts_ = 0;
  last_disconnect_ = absl::OkStatus();
  life_.emplace(config_.heartbeat_interval, config_.step_timeout, now);
  Log(LogLine::kInfo, "joined the leader");
  if (forming_) SendReady();
}

void MemberState::OnJoinedFrame(const LeaderFrame& frame, absl::Time now) {
  if (frame.has_heartbeat()) {
    life_->OnHeartbeat(frame.heartbeat());
    return;
  }
  if (frame.has_formation()) {
    OnFormation(frame, now);
    return;
  }
  const bool is_current =
      epoch_ && frame.epoch().number() == epoch_->id.number() &&
      frame.epoch().leader_incarnation() == epoch_->id.leader_incarnation();
  // Of an epoch that this rank has given up, or was not told of.
  if (!is_current && !(epoch_ && config_.planted.skip_fencing)) return;
  if (frame.has_plan()) {
    OnPlan(frame.plan(), now);
  } else if (frame.has_blobs()) {
    Emit(BlobsArrived{
        {frame.blobs().data().begin(), frame.blobs().data().end()}});
  } else if (frame.has_failure()) {
    BreakEpoch(FromProto(frame.failure()));
  }
}

void MemberState::OnFormation(const LeaderFrame& frame, absl::Time now) {
  const group::v1::EpochId& id = frame.epoch();
  if (id.leader_incarnation() != leader_incarnation_ ||
      (id.number() <= last_epoch_ && !config_.planted.forget_epochs) ||
      frame.formation().ranks_size() != config_.world_size) {
    actions_.push_back(AbandonStream{stream_});
    Disconnect(absl::InternalError(absl::StrCat(
                   "the leader formed epoch ", id.number(), " of ",
                   frame.formation().ranks_size(), " ranks; expected one of ",
                   config_.world_size, " after ", last_epoch_)),
               now);
    return;
  }
  last_epoch_ = id.number();
  if (!forming_) {
    SendFailure(id, absl::AbortedError("does not wait for an epoch any more"));
    return;
  }
  forming_ = false;
  epoch_.emplace();
  epoch_->id = id;
  ++num_formed_;
  Formation formation = FromProto(frame.formation());
  formation.epoch = id.number();
  formation.leader_incarnation = id.leader_incarnation();
  Log(LogLine::kInfo, absl::StrCat("epoch ", id.number()));
  Emit(EpochFormed{std::move(formation)});
}

void MemberState::OnPlan(const group::v1::Plan& plan, absl::Time now) {
  if (plan.number() != epoch_->num_plans + 1) {
    Fail(absl::InternalError(absl::StrCat(
             "got plan ", plan.number(), ", expected ", epoch_->num_plans + 1)),
         now);
    return;
  }
  ++epoch_->num_plans;
  Emit(PlanArrived{plan.number(), plan.payload()});
}

void MemberState::BreakEpoch(const absl::Status& why) {
  if (!epoch_) return;
  Log(LogLine::kWarning,
      absl::StrCat("epoch ", epoch_->id.number(), " is over: ", why.message()));
  epoch_.reset();
  last_error_ = why;
  last_report_ = {};
  Emit(EpochBroken{why});
}

void MemberState::Tick(absl::Time now) {
  switch (phase_) {
    case Phase::kDisconnected:
      if (!refused_ && now >= next_connect_) Connect(now);
      return;
    case Phase::kSaidHello:
    case Phase::kClaimed:
      if (now < handshake_deadline_) return;
      actions_.push_back(AbandonStream{stream_});
      Disconnect(absl::UnavailableError("the leader does not answer"), now);
      return;
    case Phase::kJoined:
      if (const absl::Status alive = life_->Check(now); !alive.ok()) {
        actions_.push_back(AbandonStream{stream_});
        Disconnect(alive, now);
      } else if (life_->IsBeatDue(now)) {
        MemberFrame frame;
        *frame.mutable_heartbeat() = life_->Beat(now);
        Send(std::move(frame));
      }
      return;
  }
}

absl::Time MemberState::NextTick() const {
  switch (phase_) {
    case Phase::kDisconnected:
      return refused_ ? absl::InfiniteFuture() : next_connect_;
    case Phase::kSaidHello:
    case Phase::kClaimed:
      return handshake_deadline_;
    case Phase::kJoined:
      return life_->NextChange();
  }
  return absl::InfiniteFuture();
}

void MemberState::BeginForm(absl::Time now) {
  Fail(absl::AbortedError("waits for a new epoch"), now);
  forming_ = true;
  refused_ = false;
  if (phase_ == Phase::kJoined) SendReady();
}

void MemberState::CancelForm(absl::Time /*now*/) {
  if (!forming_) return;
  forming_ = false;
  if (phase_ == Phase::kJoined) SendReady();
}

std::string MemberState::DescribeWait() const {
  if (phase_ == Phase::kJoined) return "joined; other ranks are missing";
  if (last_disconnect_.ok()) return "the leader has not answered yet";
  return absl::StrCat("not joined: ", last_disconnect_.ToString());
}

void MemberState::PutBlob(std::string blob, absl::Time /*now*/) {
  if (!epoch_) return;
  MemberFrame frame;
  *frame.mutable_epoch() = epoch_->id;
  frame.mutable_blob()->set_index(++epoch_->num_blobs);
  frame.mutable_blob()->set_data(std::move(blob));
  Send(std::move(frame));
}

void MemberState::Report(const StepReport& report, absl::Time /*now*/) {
  if (!epoch_) return;
  epoch_->last_step = report.step;
  last_report_ = report;
  MemberFrame frame;
  *frame.mutable_epoch() = epoch_->id;
  *frame.mutable_step() = ToProto(report);
  Send(std::move(frame));
}

void MemberState::Fail(const absl::Status& why, absl::Time /*now*/) {
  if (!epoch_) return;
  SendFailure(epoch_->id, why);
  BreakEpoch(why);
}

void MemberState::SendFailure(const group::v1::EpochId& epoch,
                              const absl::Status& why) {
  MemberFrame frame;
  *frame.mutable_epoch() = epoch;
  *frame.mutable_failure() = ToProto(why);
  Send(std::move(frame));
}

void MemberState::SendReady() {
  MemberFrame frame;
  frame.mutable_ready()->set_ready(forming_);
  frame.mutable_ready()->set_last_epoch(last_epoch_);
  Send(std::move(frame));
}

void MemberState::Send(MemberFrame frame) {
  actions_.push_back(SendToLeader{stream_, std::move(frame)});
}

GroupSnapshot MemberState::snapshot() const {
  GroupSnapshot snapshot;
  snapshot.epoch = epoch();
  snapshot.ranks.resize(static_cast<size_t>(config_.world_size));
  snapshot.ranks[0].up = phase_ == Phase::kJoined;
  RankStatus& own = snapshot.ranks[static_cast<size_t>(config_.rank)];
  own.up = true;
  own.last_step = epoch_ ? epoch_->last_step : 0;
  own.step_time = last_report_.step_time;
  own.collective_time = last_report_.collective_time;
  snapshot.rebuilds = std::max<int64_t>(num_formed_ - 1, 0);
  snapshot.last_error = last_error_;
  return snapshot;
}

}  // namespace blockserve
