// A rank > 0 of a group as a state machine without I/O: connects to the
// leader, joins, stays, comes back.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_MEMBER_STATE_H_
#define BLOCKSERVE_PARALLEL_CONTROL_MEMBER_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/group/v1/group.pb.h"
#include "parallel/control/join_proof.h"
#include "parallel/control/life_signs.h"
#include "parallel/control/rank_config.h"
#include "parallel/control/rank_state.h"

namespace blockserve {

// Opens a stream to the leader on a connection of its own: one that a
// partition has stalled must not be used again.
struct OpenStream {
  StreamId stream = 0;
};
struct SendToLeader {
  StreamId stream = 0;
  group::v1::MemberFrame frame;
};
struct AbandonStream {
  StreamId stream = 0;
};
using MemberAction = std::variant<OpenStream, SendToLeader, AbandonStream>;

// Keeps one stream at a time, opened anew after jittered waits of 50 ms to
// 1 s. Once the leader has refused this rank for good, it waits for the next
// BeginForm. An epoch is over for this rank when the leader says so, when the
// stream ends, when the leader is silent or does not hear, or when this rank
// gives up. Frames of an earlier stream or of another epoch are dropped.
class MemberState : public RankState {
 public:
  MemberState(RankConfig config, absl::Time now);

  void OnFrame(StreamId stream, const group::v1::LeaderFrame& frame,
               absl::Time now);
  void OnClosed(StreamId stream, const absl::Status& why, absl::Time now);

  void Tick(absl::Time now) override;
  absl::Time NextTick() const override;
  void BeginForm(absl::Time now) override;
  void CancelForm(absl::Time now) override;
  std::string DescribeWait() const override;
  void PutBlob(std::string blob, absl::Time now) override;
  void Report(const StepReport& report, absl::Time now) override;
  void Fail(const absl::Status& why, absl::Time now) override;
  uint64_t epoch() const override { return epoch_ ? epoch_->id.number() : 0; }
  GroupSnapshot snapshot() const override;

  std::vector<MemberAction> TakeActions() {
    return std::exchange(actions_, {});
  }

 private:
  enum class Phase { kDisconnected, kSaidHello, kClaimed, kJoined };
  struct Epoch {
    group::v1::EpochId id;
    uint64_t num_plans = 0;
    uint64_t num_blobs = 0;
    uint64_t last_step = 0;
  };

  void Connect(absl::Time now);
  void Disconnect(const absl::Status& why, absl::Time now);
  void Refused(const absl::Status& why);
  void OnChallenge(const group::v1::Challenge& challenge);
  void OnAccepted(const group::v1::Accepted& accepted, absl::Time now);
  void OnJoinedFrame(const group::v1::LeaderFrame& frame, absl::Time now);
  void OnFormation(const group::v1::LeaderFrame& frame, absl::Time now);
  void OnPlan(const group::v1::Plan& plan, absl::Time now);
  void BreakEpoch(const absl::Status& why);
  void SendReady();
  void SendFailure(const group::v1::EpochId& epoch, const absl::Status& why);
  void Send(group::v1::MemberFrame frame);

  const RankConfig config_;
  Phase phase_ = Phase::kDisconnected;
  StreamId stream_ = 0;
  JoinNonces nonces_;
  uint64_t leader_incarnation_ = 0;  // of the one that was joined last
  absl::Time handshake_deadline_;
  absl::Time next_connect_;
  int num_failed_attempts_ = 0;
  std::optional<LifeSigns> life_;  // while joined

  bool forming_ = false;
  bool refused_ = false;  // for good
  uint64_t last_epoch_ = 0;
  std::optional<Epoch> epoch_;

  int64_t num_formed_ = 0;
  absl::Status last_error_;       // of an epoch
  absl::Status last_disconnect_;  // of a stream
  StepReport last_report_;
  std::vector<MemberAction> actions_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_MEMBER_STATE_H_
