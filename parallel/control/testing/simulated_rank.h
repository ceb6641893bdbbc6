// A simulated process of a group: a state machine between the network and its
// user.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_RANK_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_RANK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/group/v1/group.pb.h"
#include "parallel/control/leader_state.h"
#include "parallel/control/member_state.h"
#include "parallel/control/rank_config.h"
#include "parallel/control/testing/group_checker.h"
#include "parallel/control/testing/simulated_network.h"
#include "parallel/control/testing/simulated_user.h"
#include "parallel/control/testing/simulation_world.h"

namespace blockserve {

// Processes input one at a time; while stopped it keeps what comes, once dead
// it drops it.
class SimulatedRank {
 public:
  SimulatedRank(SimulationWorld* world, SimulatedRole role, RankConfig config);

  int number() const { return role_.number; }
  int rank() const { return config_.rank; }
  int host() const { return role_.host; }
  bool alive() const { return alive_; }
  bool stopped() const { return stopped_; }
  ProcessId id() const { return {role_.number, config_.rank}; }
  uint64_t incarnation() const { return config_.incarnation; }
  uint64_t epoch() const { return state().epoch(); }
  GroupSnapshot snapshot() const { return state().snapshot(); }

  // kill -9: the kernel ends its streams; `silently`: the host goes, too.
  void Kill(bool silently);
  void Stop();      // SIGSTOP
  void Continue();  // SIGCONT
  // Its own thread hangs; heartbeats go on.
  void HangUser();
  void WakeUser();
  // Its collectives fail.
  void FailEpoch();
  // One of its streams breaks, for both ends.
  void BreakStream();

  // Sends `frames` on a stream of their own, whatever its state machine does.
  void SendRaw(const std::vector<group::v1::MemberFrame>& frames);

  // Of the leader, from the network.
  void Opened(SimulatedNetwork::LinkId link, SimulatedRank* member,
              StreamId member_stream);

 private:
  // State machines count from 1.
  static constexpr StreamId kFirstRawStream = StreamId{1} << 32;

  // A stream's other end.
  struct Link {
    SimulatedNetwork::LinkId id = 0;
    SimulatedRank* peer = nullptr;
    StreamId peer_stream = 0;
    bool closed = false;  // on this end
  };

  RankState& state();
  const RankState& state() const;
  // Runs `input` when the process runs; drops it if it is dead.
  void Input(std::function<void()> input);
  // The same for what its own thread does.
  void UserAfter(absl::Duration delay, std::function<void()> act);
  void Settle();
  void ScheduleTick();
  void OnTick();
  void OnFrame(StreamId stream, const group::v1::MemberFrame& frame);
  void OnFrame(StreamId stream, const group::v1::LeaderFrame& frame);
  void OnClosed(StreamId stream, const absl::Status& why);

  void Perform(MemberAction action);
  void Perform(LeaderAction action);
  void OpenStreamToLeader(StreamId stream);
  void SendFrame(StreamId stream, group::v1::MemberFrame frame);
  void CloseLink(StreamId stream, const absl::Status& why);
  Direction outward() const {
    return leader_ ? Direction::kToMember : Direction::kToLeader;
  }

  SimulationWorld* const world_;
  const SimulatedRole role_;
  RankConfig config_;
  std::unique_ptr<LeaderState> leader_;  // either
  std::unique_ptr<MemberState> member_;  // or
  std::unique_ptr<SimulatedUser> user_;
  std::map<StreamId, Link> links_;
  StreamId last_raw_stream_ = kFirstRawStream;

  bool alive_ = true;
  bool stopped_ = false;
  bool user_hangs_ = false;
  std::deque<std::function<void()>> inbox_;     // while stopped
  std::deque<std::function<void()>> deferred_;  // while the user hangs
  absl::Time tick_at_ = absl::InfiniteFuture();
  absl::Time last_tick_;
  int num_ticks_at_once_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_RANK_H_
