#include "runtime/group/group_rank.h"

#include <utility>

#include "parallel/backends/create_communicator.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// What happened between two readings.
CommunicatorStats Since(const CommunicatorStats& before,
                        const CommunicatorStats& now) {
  CommunicatorStats difference;
  for (int op = 0; op < kNumCollectiveOps; ++op) {
    difference.ops[op] = {
        .num_calls = now.ops[op].num_calls - before.ops[op].num_calls,
        .num_bytes = now.ops[op].num_bytes - before.ops[op].num_bytes,
        .time = now.ops[op].time - before.ops[op].time};
  }
  return difference;
}

absl::Duration TotalTime(const CommunicatorStats& stats) {
  absl::Duration time;
  for (const CollectiveCount& count : stats.ops) time += count.time;
  return time;
}

}  // namespace

GroupRank::GroupRank(const GroupRankOptions& options) : options_(options) {
  group_.rank = options.control.rank;
  group_.size = options.control.world_size;
}

GroupRank::~GroupRank() {
  if (endpoint_ != nullptr) endpoint_->Shutdown();
}

absl::StatusOr<std::unique_ptr<GroupRank>> GroupRank::Start(
    const GroupRankOptions& options) {
  std::unique_ptr<GroupRank> rank(new GroupRank(options));
  ASSIGN_OR_RETURN(
      rank->endpoint_,
      GroupEndpoint::Start(options.control,
                           [rank = rank.get()](const absl::Status& why) {
                             rank->OnEpochOver(why);
                           }));
  return rank;
}

absl::StatusOr<Formation> GroupRank::Form(absl::Time deadline) {
  {
    std::lock_guard lock(mutex_);
    group_.communicator = nullptr;
    communicator_.reset();
    broken_ = absl::OkStatus();
  }
  num_steps_ = 0;
  ASSIGN_OR_RETURN(formation_, endpoint_->Form(deadline));
  std::lock_guard lock(mutex_);
  ++num_formed_;
  broken_ = absl::OkStatus();
  if (num_over_ >= num_formed_) SetBroken(last_over_);
  return formation_;
}

absl::StatusOr<std::vector<std::string>> GroupRank::Exchange(std::string mine) {
  return endpoint_->ExchangeBlobs(std::move(mine));
}

absl::Status GroupRank::Connect(size_t max_bytes, void* stream) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<Communicator> communicator,
      CreateCommunicator(
          options_.collectives, group_.rank, group_.size,
          {.max_bytes = max_bytes, .timeout = options_.control.step_timeout},
          formation_.one_host, options_.bind_address,
          [this](std::string mine) { return Exchange(std::move(mine)); },
          stream));
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(broken_);
  stats_ = communicator->stats();
  communicator_ = std::move(communicator);
  group_.communicator = communicator_.get();
  return absl::OkStatus();
}

StepTimes GroupRank::RecordStep(absl::Time begin) {
  const CommunicatorStats stats = group_.communicator->stats();
  const StepTimes times = {.step = MonotonicNow() - begin,
                           .collectives = Since(stats_, stats)};
  stats_ = stats;
  endpoint_->ReportStep({.step = ++num_steps_,
                         .step_time = times.step,
                         .collective_time = TotalTime(times.collectives)});
  return times;
}

void GroupRank::Break(const absl::Status& why) {
  {
    std::lock_guard lock(mutex_);
    SetBroken(why);
  }
  endpoint_->Fail(why);
}

void GroupRank::OnEpochOver(const absl::Status& why) {
  std::lock_guard lock(mutex_);
  ++num_over_;
  last_over_ = why;
  if (num_over_ >= num_formed_) SetBroken(why);
}

void GroupRank::SetBroken(const absl::Status& why) {
  if (broken_.ok()) {
    broken_ = why.ok() ? absl::UnavailableError("the epoch is over") : why;
  }
  if (communicator_ != nullptr) communicator_->Abort(broken_);
}

absl::Status GroupRank::broken() const {
  std::lock_guard lock(mutex_);
  return broken_;
}

std::string GroupRank::collectives() const {
  std::lock_guard lock(mutex_);
  return communicator_ == nullptr ? "" : std::string(communicator_->name());
}

}  // namespace blockserve
