#include "parallel/control/testing/group_simulation.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "parallel/control/testing/simulated_rank.h"
#include "parallel/control/testing/simulation_world.h"

namespace blockserve {
namespace {

using absl::Milliseconds;
using absl::Seconds;

constexpr absl::Duration kStepTimeout = Seconds(2);
// Beside the deadline, for who is hung or cut off; all, for who is killed.
constexpr absl::Duration kSlack = Milliseconds(500);
constexpr absl::Duration kFaultyTime = Seconds(25);
constexpr absl::Duration kCalmTime = Seconds(3);
constexpr uint64_t kEnoughPlans = 10;
constexpr int kFirstIntruderHost = 100;

class GroupSimulation {
 public:
  GroupSimulation(uint64_t seed, const PlantedDefects& planted,
                  std::string* trace)
      : world_size_(2 + static_cast<int>(seed % 3)),
        world_(seed, world_size_),
        planted_(planted) {
    world_.trace = trace;
    ranks_.resize(static_cast<size_t>(world_size_));
    busy_.resize(static_cast<size_t>(world_size_));
    num_disturbed_.resize(static_cast<size_t>(world_size_));
    max_pause_ = random().Between(Milliseconds(300), Seconds(5));
    for (int rank = 0; rank < world_size_; ++rank) StartRank(rank);
  }

  SimulationResult Run() {
    const absl::Time end = world_.events.now() + kFaultyTime;
    ScheduleFault();
    while (world_.checker.violation().empty() && world_.events.RunNext(end)) {
    }
    Calm();
    SimulationResult result;
    CheckRecovery(&result);
    result.violation = world_.checker.violation();
    result.num_epochs = world_.checker.num_epochs();
    result.num_executed = world_.checker.num_executed();
    result.faults = faults_;
    for (const auto& process : processes_) {
      if (process->rank() != 0) continue;
      for (const auto& [reason, count] : process->snapshot().refusals) {
        result.refusals[reason] += count;
      }
    }
    return result;
  }

 private:
  using Rank = SimulatedRank;

  SimulationRandom& random() { return world_.random; }
  int AnyRank() { return random().Int(0, world_size_ - 1); }
  int AnyMember() { return random().Int(1, world_size_ - 1); }
  Rank*& Of(int rank) { return ranks_[static_cast<size_t>(rank)]; }

  RankConfig Config(int rank) const {
    RankConfig config;
    config.rank = rank;
    config.world_size = world_size_;
    config.address = "leader";
    config.secret = "the secret";
    config.model_fingerprint = "model";
    config.build_version = "build";
    config.host_id = absl::StrCat("host", rank);
    config.step_timeout = kStepTimeout;
    config.heartbeat_interval = kStepTimeout / 8;
    config.exchange_timeout = Seconds(3);
    config.planted = planted_;
    return config;
  }

  Rank* Start(RankConfig config, int host, bool may_join) {
    SimulatedRole role;
    role.number = static_cast<int>(processes_.size());
    role.rank = config.rank;
    role.host = host;
    role.may_join = may_join;
    role.work = random().Between(Milliseconds(1), Milliseconds(30));
    processes_.push_back(
        std::make_unique<Rank>(&world_, role, std::move(config)));
    return processes_.back().get();
  }

  void StartRank(int rank) {
    Of(rank) = Start(Config(rank), /*host=*/rank, /*may_join=*/true);
    if (rank == 0) world_.leader = Of(0);
  }

  void ScheduleFault() {
    world_.events.After(random().Between(Milliseconds(50), max_pause_), [this] {
      if (world_.calm) return;
      MakeFault();
      ScheduleFault();
    });
  }

  void MakeFault() {
    switch (random().Int(0, 12)) {
      case 0:
        return KillRank(AnyRank(), /*silently=*/false);
      case 1:
        return KillRank(AnyRank(), /*silently=*/true);
      case 2:
        return StopRank(AnyRank());
      case 3:
        return ReplaceStopped(AnyRank());
      case 4:
        return HangUser(AnyRank());
      case 5:
        return CutOff(AnyMember(), {Direction::kToLeader}, "cut to leader");
      case 6:
        return CutOff(AnyMember(), {Direction::kToMember}, "cut to member");
      case 7:
        return CutOff(AnyMember(), {Direction::kToLeader, Direction::kToMember},
                      "cut");
      case 8:
        ++faults_["broken stream"];
        return Of(AnyMember())->BreakStream();
      case 9:
        ++faults_["failed epoch"];
        return Of(AnyRank())->FailEpoch();
      case 10:
        return SendStranger();
      case 11:
        return SendDuplicate();
      case 12:
        return SendRubbish();
    }
  }

  // A rank has one of these faults at a time, so that what ends one does not
  // end another.
  bool Occupy(int rank, const char* fault) {
    if (busy_[static_cast<size_t>(rank)]) return false;
    busy_[static_cast<size_t>(rank)] = true;
    ++num_disturbed_[static_cast<size_t>(rank)];
    ++faults_[fault];
    return true;
  }
  void Release(int rank, absl::Duration delay, std::function<void()> heal) {
    world_.events.After(delay, [this, rank, heal = std::move(heal)] {
      if (world_.calm) return;
      heal();
      busy_[static_cast<size_t>(rank)] = false;
    });
  }

  void KillRank(int rank, bool silently) {
    if (!Occupy(rank, silently ? "host died" : "killed")) return;
    const absl::Duration away = random().Between(Milliseconds(50), Seconds(4));
    ExpectNoticed(rank, away, silently ? kStepTimeout + kSlack : kSlack);
    Of(rank)->Kill(silently);
    Release(rank, away, [this, rank] { StartRank(rank); });
  }

  void StopRank(int rank) {
    if (!Occupy(rank, "stopped")) return;
    const absl::Duration away = random().Between(Milliseconds(50), Seconds(6));
    ExpectNoticed(rank, away, kStepTimeout + kSlack);
    Of(rank)->Stop();
    Release(rank, away, [this, rank] { Of(rank)->Continue(); });
  }

  // The old process goes on when a new one has its place: a late rank of an
  // old epoch, or a second leader.
  void ReplaceStopped(int rank) {
    if (!Occupy(rank, "replaced while stopped")) return;
    Rank* old = Of(rank);
    old->Stop();
    Release(rank, random().Between(Milliseconds(50), Seconds(4)),
            [this, rank] { StartRank(rank); });
    world_.events.After(random().Between(Seconds(2), Seconds(6)),
                        [old] { old->Continue(); });
    world_.events.After(Seconds(9), [old] { old->Kill(/*silently=*/false); });
    intruders_.push_back(old);
  }

  void HangUser(int rank) {
    if (!Occupy(rank, "user hung")) return;
    Of(rank)->HangUser();
    Release(rank, random().Between(Milliseconds(50), Seconds(6)),
            [this, rank] { Of(rank)->WakeUser(); });
  }

  void CutOff(int rank, std::vector<Direction> directions, const char* name) {
    if (!Occupy(rank, name)) return;
    const absl::Duration away = random().Between(Milliseconds(50), Seconds(6));
    ExpectNoticed(rank, away, kStepTimeout + kSlack);
    world_.Trace(name, " of host ", rank);
    for (const Direction direction : directions) {
      world_.network.Cut(rank, direction);
    }
    Release(rank, away, [this, rank, directions] {
      world_.Trace("host ", rank, " is connected");
      for (const Direction direction : directions) {
        world_.network.Heal(rank, direction);
      }
    });
  }

  // Who is in an epoch with `rank` now and stays undisturbed must have left it
  // after `limit`, if the fault lasts that long.
  void ExpectNoticed(int rank, absl::Duration away, absl::Duration limit) {
    const EpochKey epoch = EpochOf(Of(rank));
    if (epoch.first == 0 || away <= limit) return;
    for (int other = 0; other < world_size_; ++other) {
      Rank* witness = Of(other);
      if (other == rank || busy_[static_cast<size_t>(other)] ||
          EpochOf(witness) != epoch || (rank != 0 && other != 0)) {
        continue;
      }
      const int64_t disturbed = num_disturbed_[static_cast<size_t>(other)];
      world_.events.After(
          limit, [this, witness, epoch, rank, other, disturbed] {
            if (world_.calm || Of(other) != witness || !witness->alive() ||
                witness->stopped() || busy_[static_cast<size_t>(other)] ||
                disturbed != num_disturbed_[static_cast<size_t>(other)]) {
              return;
            }
            if (EpochOf(witness) == epoch) {
              world_.checker.Fail(absl::StrCat(
                  "rank ", other, " has not noticed in time that rank ", rank,
                  " is gone"));
            }
          });
    }
  }

  EpochKey EpochOf(const Rank* rank) const {
    return world_.checker.ProgressOf(rank->id()).first;
  }

  void SendStranger() {
    RankConfig config = Config(AnyMember());
    switch (random().Int(0, 5)) {
      case 0:
        config.model_fingerprint = "another model";
        break;
      case 1:
        config.build_version = "another build";
        break;
      case 2:
        ++config.world_size;
        break;
      case 3:
        config.rank = world_size_;
        break;
      default:
        config.secret = "a guess";
    }
    ++faults_["stranger"];
    Intrude(std::move(config), /*may_join=*/false);
  }

  void SendDuplicate() {
    ++faults_["duplicate"];
    Intrude(Config(AnyMember()), /*may_join=*/true);
  }

  void SendRubbish() {
    ++faults_["rubbish"];
    RankConfig config = Config(AnyMember());
    config.secret = "a guess";
    Rank* intruder = Intrude(std::move(config), /*may_join=*/false);
    std::vector<group::v1::MemberFrame> frames;
    if (random().Chance(50)) {
      frames = {world_.recorded_hello, world_.recorded_claim};
    }
    for (int n = random().Int(0, 3); n > 0; --n) frames.push_back(AnyFrame());
    intruder->SendRaw(frames);
  }

  group::v1::MemberFrame AnyFrame() {
    group::v1::MemberFrame frame;
    frame.mutable_epoch()->set_number(world_.leader->epoch());
    frame.mutable_epoch()->set_leader_incarnation(world_.leader->incarnation());
    switch (random().Int(0, 6)) {
      case 0:
        frame.mutable_hello()->set_nonce("short");
        break;
      case 1:
        frame.mutable_claim()->set_rank(AnyMember());
        break;
      case 2:
        frame.mutable_ready()->set_ready(true);
        break;
      case 3:
        frame.mutable_heartbeat()->set_sequence(random().Next());
        break;
      case 4:
        frame.mutable_failure()->set_code(random().Int(0, 20));
        break;
      case 5:
        frame.mutable_step()->set_step(random().Next());
        break;
      default:
        break;  // nothing in it
    }
    return frame;
  }

  Rank* Intrude(RankConfig config, bool may_join) {
    const int host = kFirstIntruderHost + static_cast<int>(processes_.size());
    Rank* intruder = Start(std::move(config), host, may_join);
    intruders_.push_back(intruder);
    world_.events.After(random().Between(Milliseconds(200), Seconds(6)),
                        [intruder] { intruder->Kill(/*silently=*/false); });
    return intruder;
  }

  void Calm() {
    world_.Trace("calm");
    world_.calm = true;
    world_.network.HealAll();
    for (Rank* intruder : intruders_) intruder->Kill(/*silently=*/false);
    for (int rank = 0; rank < world_size_; ++rank) {
      Of(rank)->Continue();
      Of(rank)->WakeUser();
      if (!Of(rank)->alive()) StartRank(rank);
    }
  }

  // The epoch in which every rank has executed enough plans; 0: none.
  uint64_t CommonEpoch() {
    const EpochKey epoch = EpochOf(Of(0));
    for (Rank* rank : ranks_) {
      const auto [its_epoch, executed] = world_.checker.ProgressOf(rank->id());
      if (its_epoch != epoch || executed < kEnoughPlans) return 0;
    }
    return epoch.first;
  }

  void CheckRecovery(SimulationResult* result) {
    const absl::Time begin = world_.events.now();
    // What is lost may be noticed only now, so the first common epoch need not
    // be the last.
    uint64_t epoch = 0;
    while (world_.checker.violation().empty() &&
           world_.events.RunNext(begin + kMaxRecovery)) {
      const uint64_t common = CommonEpoch();
      if (common == epoch) continue;
      epoch = common;
      result->recovery = world_.events.now() - begin;
    }
    if (epoch == 0) {
      world_.checker.Fail(absl::StrCat("no common epoch ",
                                       absl::FormatDuration(kMaxRecovery),
                                       " after the last fault"));
    }
    while (world_.checker.violation().empty() &&
           world_.events.RunNext(begin + kMaxRecovery + kCalmTime)) {
    }
    if (CommonEpoch() != epoch) {
      world_.checker.Fail(
          absl::StrCat("epoch ", epoch, " ended without a fault"));
    }
  }

  const int world_size_;
  SimulationWorld world_;
  const PlantedDefects planted_;
  std::vector<std::unique_ptr<Rank>> processes_;  // all that ever were
  std::vector<Rank*> ranks_;                      // who the ranks are now
  std::vector<Rank*> intruders_;
  absl::Duration max_pause_;            // between faults
  std::vector<bool> busy_;              // by rank: has a fault that lasts
  std::vector<int64_t> num_disturbed_;  // by rank: faults so far
  std::map<std::string, int64_t> faults_;
};

}  // namespace

SimulationResult Simulate(uint64_t seed, const PlantedDefects& planted,
                          bool with_trace) {
  std::string trace;
  GroupSimulation simulation(seed, planted, with_trace ? &trace : nullptr);
  SimulationResult result = simulation.Run();
  if (!result.violation.empty() && with_trace) {
    absl::StrAppend(&trace, "violation: ", result.violation, "\n");
  }
  result.trace = std::move(trace);
  return result;
}

}  // namespace blockserve
