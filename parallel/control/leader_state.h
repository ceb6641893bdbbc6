// The leader of a group as a state machine without I/O: who has joined, which
// epoch lives, what has been planned, who is lost.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_LEADER_STATE_H_
#define BLOCKSERVE_PARALLEL_CONTROL_LEADER_STATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/group/v1/group.pb.h"
#include "parallel/control/admission.h"
#include "parallel/control/life_signs.h"
#include "parallel/control/live_epoch.h"
#include "parallel/control/rank_config.h"
#include "parallel/control/rank_state.h"
#include "parallel/control/step_times.h"
#include "parallel/control/stranger_streams.h"

namespace blockserve {

struct SendToMember {
  StreamId stream = 0;
  group::v1::LeaderFrame frame;
};
// Ends the call with `status`: after what was sent before, or at once if
// nobody is there to read it.
struct CloseStream {
  StreamId stream = 0;
  absl::Status status;
  bool at_once = false;
};
using LeaderAction = std::variant<SendToMember, CloseStream>;

// Epochs: one begins when every rank has joined and waits for it (for the
// leader: BeginForm), with a number above all that anybody has seen. It ends
// when a stream of one of its ranks ends, a rank is silent, does not hear, is
// late, or gives up; then all are told. Steps, blobs and failures count only
// if they name the living epoch.
//
// Peers: a stream is a stranger's until its claim is proven, and strangers are
// bounded in number and time. The process that holds a rank's place keeps it
// for as long as its stream lives; only itself (the same incarnation on a new
// stream) takes it over.
class LeaderState : public RankState {
 public:
  LeaderState(RankConfig config, absl::Time now);

  void OnOpened(StreamId stream, std::string peer, absl::Time now);
  void OnFrame(StreamId stream, const group::v1::MemberFrame& frame,
               absl::Time now);
  void OnClosed(StreamId stream, const absl::Status& why, absl::Time now);

  // The plan's number. FAILED_PRECONDITION without an epoch;
  // RESOURCE_EXHAUSTED ends the epoch.
  absl::StatusOr<uint64_t> SendPlan(absl::string_view payload, absl::Time now);

  void Tick(absl::Time now) override;
  absl::Time NextTick() const override;
  void BeginForm(absl::Time now) override;
  void CancelForm(absl::Time now) override;
  std::string DescribeWait() const override;
  void PutBlob(std::string blob, absl::Time now) override;
  void Report(const StepReport& report, absl::Time now) override;
  void Fail(const absl::Status& why, absl::Time now) override;
  absl::Duration step_timeout() const { return config_.step_timeout; }
  uint64_t epoch() const override { return epoch_ ? epoch_->number() : 0; }
  GroupSnapshot snapshot() const override;

  std::vector<LeaderAction> TakeActions() {
    return std::exchange(actions_, {});
  }

 private:
  // A rank that has joined.
  struct Member {
    StreamId stream = 0;
    std::string peer;
    std::string host_id;
    uint64_t incarnation = 0;
    uint64_t last_epoch = 0;  // the largest of which this stream has told
    bool ready = false;
    LifeSigns life;
  };

  // Of strangers.
  void OnHandshake(StreamId stream, const group::v1::MemberFrame& frame,
                   absl::Time now);
  void Join(StreamId stream, const group::v1::Claim& claim, absl::Time now);
  bool HasRoomFor(const group::v1::Claim& claim, Refusal* refusal) const;
  void Refuse(StreamId stream, const Refusal& refusal, absl::Time now);

  // Of members.
  void OnMemberFrame(int rank, const group::v1::MemberFrame& frame,
                     absl::Time now);
  void OnReady(int rank, const group::v1::Ready& ready, absl::Time now);
  void DropStale(int rank, const group::v1::MemberFrame& frame);
  void Lose(int rank, const absl::Status& why, absl::Time now);

  void FormIfAllReady(absl::Time now);
  void AddReport(int rank, const StepReport& report, absl::Time now);
  void AddBlob(int rank, std::string blob, absl::Time now);
  void BreakEpoch(const absl::Status& why);
  void BreakIfLate(absl::Time now);
  void Send(const Member& member, group::v1::LeaderFrame frame);
  void SendToAll(const group::v1::LeaderFrame& frame);
  group::v1::LeaderFrame NewFrame() const;  // of the living epoch
  int RankOf(StreamId stream) const;        // -1: none

  const RankConfig config_;
  StrangerStreams strangers_;
  RefusalLog refusals_;
  // By rank; null: not joined. The leader's own place stays null.
  std::vector<std::unique_ptr<Member>> members_;
  bool forming_ = false;  // the leader's own process waits
  uint64_t last_epoch_ = 0;
  std::optional<LiveEpoch> epoch_;
  StepTimes step_times_;

  int straggler_ = -1;
  int64_t num_formed_ = 0;
  absl::Status last_error_;
  std::vector<LeaderAction> actions_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_LEADER_STATE_H_
