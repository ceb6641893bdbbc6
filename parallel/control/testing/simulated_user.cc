#include "parallel/control/testing/simulated_user.h"

#include <variant>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

constexpr uint64_t kMaxPlansAhead = 2;
constexpr absl::Duration kPlanInterval = absl::Milliseconds(60);

}  // namespace

SimulatedUser::SimulatedUser(SimulationWorld* world, const SimulatedRole& role,
                             RankState* state, LeaderState* leader, Later later)
    : world_(world),
      role_(role),
      state_(state),
      leader_(leader),
      later_(std::move(later)) {
  InEpoch(world_->random.Between(absl::ZeroDuration(), absl::Seconds(1)),
          [this] { BeginForm(); });
}

void SimulatedUser::InEpoch(absl::Duration delay, std::function<void()> act) {
  later_(delay, [this, generation = generation_, act = std::move(act)] {
    if (generation == generation_) act();
  });
}

void SimulatedUser::BeginForm() {
  state_->BeginForm(world_->events.now());
  if (world_->calm || !world_->random.Chance(10)) return;
  InEpoch(world_->random.Between(absl::Milliseconds(50), absl::Seconds(1)),
          [this] {
            if (world_->calm) return;
            world_->Trace("p", role_.number,
                          " gives up waiting: ", state_->DescribeWait());
            state_->CancelForm(world_->events.now());
            InEpoch(world_->random.Between(absl::ZeroDuration(),
                                           absl::Milliseconds(300)),
                    [this] { BeginForm(); });
          });
}

void SimulatedUser::Handle(const LocalEvent& event) {
  if (const auto* formed = std::get_if<EpochFormed>(&event)) {
    OnFormed(formed->formation);
  } else if (const auto* broken = std::get_if<EpochBroken>(&event)) {
    OnBroken(broken->why);
  } else if (const auto* refused = std::get_if<FormRefused>(&event)) {
    world_->Trace("p", role_.number, " is refused: ", refused->why.ToString());
    if (role_.may_join) {
      world_->checker.Fail(absl::StrCat(
          "rank ", role_.rank, " is refused: ", refused->why.ToString()));
    }
    ++generation_;
    InEpoch(absl::Seconds(1), [this] { BeginForm(); });
  } else if (const auto* blobs = std::get_if<BlobsArrived>(&event)) {
    world_->checker.OnBlobs(id(), blobs->blobs);
    if (leader_ != nullptr) PlanNext();
  } else if (const auto* plan = std::get_if<PlanArrived>(&event)) {
    plans_.push_back(plan->payload);
    ExecuteNext();
  } else if (const auto* line = std::get_if<LogLine>(&event)) {
    world_->Trace("p", role_.number, " logs: ", line->text);
  }
}

void SimulatedUser::OnFormed(const Formation& formation) {
  world_->Trace("p", role_.number, " is in epoch ", formation.epoch, " of ",
                formation.leader_incarnation);
  world_->checker.OnFormed(id(), role_.may_join, formation);
  ++generation_;
  epoch_ = {formation.epoch, formation.leader_incarnation};
  executing_ = false;
  num_planned_ = num_executed_ = 0;
  plans_.clear();
  InEpoch(world_->random.Between(absl::ZeroDuration(), absl::Milliseconds(20)),
          [this] {
            state_->PutBlob(GroupChecker::BlobOf(epoch_, role_.rank),
                            world_->events.now());
          });
}

void SimulatedUser::OnBroken(const absl::Status& why) {
  world_->Trace("p", role_.number, " lost epoch ", epoch_.first, ": ",
                why.ToString());
  world_->checker.OnBroken(id());
  ++generation_;
  plans_.clear();
  // Aborts its communicator first.
  InEpoch(world_->random.Between(absl::ZeroDuration(), absl::Milliseconds(50)),
          [this] { BeginForm(); });
}

void SimulatedUser::PlanNext() {
  if (num_planned_ - num_executed_ < kMaxPlansAhead) {
    const std::string payload = absl::StrCat(world_->random.Next());
    const auto number = leader_->SendPlan(payload, world_->events.now());
    if (!number.ok()) return;  // that was the epoch's end
    ++num_planned_;
    world_->Trace("p", role_.number, " plans ", *number, ": ", payload);
    world_->checker.OnPlanned(epoch_, *number, payload);
    plans_.push_back(payload);
    ExecuteNext();
  }
  InEpoch(kPlanInterval, [this] { PlanNext(); });
}

void SimulatedUser::ExecuteNext() {
  if (executing_ || plans_.empty()) return;
  executing_ = true;
  const absl::Duration collective =
      world_->random.Between(absl::ZeroDuration(), absl::Milliseconds(5));
  InEpoch(role_.work + collective, [this, collective] {
    const std::string payload = std::move(plans_.front());
    plans_.pop_front();
    executing_ = false;
    ++num_executed_;
    world_->Trace("p", role_.number, " executes ", num_executed_, " of epoch ",
                  epoch_.first, ": ", payload);
    world_->checker.OnExecuted(id(), num_executed_, payload);
    state_->Report({num_executed_, role_.work + collective, collective},
                   world_->events.now());
    ExecuteNext();
  });
}

}  // namespace blockserve
