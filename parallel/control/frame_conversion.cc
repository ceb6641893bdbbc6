#include "parallel/control/frame_conversion.h"

#include "absl/strings/string_view.h"

namespace blockserve {
namespace {

constexpr size_t kMaxMessageBytes = 1024;  // of an error

void SetDuration(absl::Duration duration, google::protobuf::Duration* out) {
  const int64_t seconds =
      absl::IDivDuration(duration, absl::Seconds(1), &duration);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace

group::v1::Failure ToProto(const absl::Status& why) {
  group::v1::Failure failure;
  failure.set_code(static_cast<int>(why.code()));
  const absl::string_view message = why.message().substr(0, kMaxMessageBytes);
  failure.set_error_message(message.data(), message.size());
  return failure;
}

absl::Status FromProto(const group::v1::Failure& failure) {
  const bool is_error = failure.code() >= 1 && failure.code() <= 16;
  return absl::Status(is_error ? static_cast<absl::StatusCode>(failure.code())
                               : absl::StatusCode::kUnknown,
                      failure.error_message());
}

group::v1::StepDone ToProto(const StepReport& report) {
  group::v1::StepDone step;
  step.set_step(report.step);
  SetDuration(report.step_time, step.mutable_step_time());
  SetDuration(report.collective_time, step.mutable_collective_time());
  return step;
}

StepReport FromProto(const group::v1::StepDone& step) {
  return {step.step(), ToDuration(step.step_time()),
          ToDuration(step.collective_time())};
}

group::v1::Formation ToProto(const Formation& formation) {
  group::v1::Formation out;
  out.set_one_host(formation.one_host);
  for (const RankInfo& rank : formation.ranks) {
    group::v1::RankInfo* info = out.add_ranks();
    info->set_rank(rank.rank);
    info->set_host_id(rank.host_id);
    info->set_address(rank.address);
  }
  return out;
}

Formation FromProto(const group::v1::Formation& formation) {
  Formation out;
  out.one_host = formation.one_host();
  for (const group::v1::RankInfo& info : formation.ranks()) {
    out.ranks.push_back({info.rank(), info.host_id(), info.address()});
  }
  return out;
}

}  // namespace blockserve
