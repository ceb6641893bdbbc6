#include "runtime/group/group_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/group/step_codec.h"

namespace blockserve {
namespace {

// What a failed step means. Once the epoch is broken that is the reason, as it
// is when the collectives say so; anything else is the device's.
absl::Status JudgeFailure(const absl::Status& failure, GroupRank& rank) {
  const absl::Status broken = rank.broken();
  const bool in_collectives =
      !broken.ok() || (rank.group().communicator != nullptr &&
                       !rank.group().communicator->error().ok());
  rank.Break(failure);
  if (!in_collectives) return absl::InternalError(failure.ToString());
  return absl::UnavailableError(absl::StrCat(
      "the group is broken: ", (broken.ok() ? failure : broken).message()));
}

}  // namespace

GroupModel::GroupModel(Model& own, GroupRank* rank,
                       std::function<void(const StepTimes&)> on_step)
    : own_(own), rank_(rank), on_step_(std::move(on_step)) {}

absl::StatusOr<StepOutput> GroupModel::Step(const StepInput& input) {
  return rank_ == nullptr ? own_.Step(input) : StepGroup(input, *rank_);
}

absl::StatusOr<StepOutput> GroupModel::StepGroup(const StepInput& input,
                                                 GroupRank& rank) {
  const absl::Status broken = rank.broken();
  if (!broken.ok()) {
    return absl::UnavailableError(
        absl::StrCat("the group is broken: ", broken.message()));
  }
  const absl::Time begin = MonotonicNow();
  EncodeStep(input, tokens_per_step(), frame_);
  const absl::Status sent = rank.endpoint().SendPlan(frame_);
  if (!sent.ok()) {
    rank.Break(sent);
    return absl::UnavailableError(
        absl::StrCat("the group is broken: ", sent.message()));
  }
  absl::StatusOr<StepOutput> output = own_.Step(input);
  // A refused input is refused by every rank alike.
  if (!output.ok() && !absl::IsInvalidArgument(output.status())) {
    return JudgeFailure(output.status(), rank);
  }
  const StepTimes times = rank.RecordStep(begin);
  if (on_step_) on_step_(times);
  return output;
}

absl::Status RunPlans(Model& model, GroupRank& rank,
                      const std::function<void(const StepTimes&)>& on_step) {
  StepDecoder decoder;
  while (true) {
    const absl::StatusOr<std::string> frame = rank.endpoint().NextPlan();
    if (!frame.ok()) {
      rank.Break(frame.status());
      return absl::UnavailableError(frame.status().message());
    }
    const absl::Time begin = MonotonicNow();
    const absl::StatusOr<StepInput> input = decoder.Decode(*frame);
    if (!input.ok()) {
      rank.Break(input.status());
      return input.status();
    }
    const absl::Status done = model.Step(*input).status();
    if (!done.ok() && !absl::IsInvalidArgument(done)) {
      return JudgeFailure(done, rank);
    }
    const StepTimes times = rank.RecordStep(begin);
    if (on_step) on_step(times);
  }
}

}  // namespace blockserve
