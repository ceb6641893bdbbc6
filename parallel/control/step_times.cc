#include "parallel/control/step_times.h"

#include <algorithm>

namespace blockserve {
namespace {

constexpr double kSlowFactor = 1.5;
constexpr absl::Duration kMinSlowWork = absl::Milliseconds(1);
constexpr double kNewShare = 1.0 / 8;  // of the newest step in averages

void Average(absl::Duration value, bool is_first, absl::Duration& average) {
  average = is_first ? value : average + (value - average) * kNewShare;
}

absl::Duration Median(std::vector<absl::Duration> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

void StepTimes::Add(int rank, const StepReport& report) {
  Rank& times = ranks_[static_cast<size_t>(rank)];
  const bool is_first = times.work.empty();
  Average(report.step_time, is_first, times.step_time);
  Average(report.collective_time, is_first, times.collective_time);
  const absl::Duration work =
      std::max(report.step_time - report.collective_time, absl::ZeroDuration());
  if (times.work.size() < kWindow) {
    times.work.push_back(work);
  } else {
    times.total_work -= times.work[times.next];
    times.work[times.next] = work;
    times.next = (times.next + 1) % kWindow;
  }
  times.total_work += work;
}

absl::Duration StepTimes::step_time(int rank) const {
  return ranks_[static_cast<size_t>(rank)].step_time;
}

absl::Duration StepTimes::collective_time(int rank) const {
  return ranks_[static_cast<size_t>(rank)].collective_time;
}

int StepTimes::Straggler() const {
  if (ranks_.size() < 2) return -1;
  int slowest = -1;
  absl::Duration longest;
  std::vector<absl::Duration> others;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (ranks_[rank].work.size() < kMinSamples) return -1;
    const absl::Duration work = ranks_[rank].mean_work();
    if (slowest >= 0 && work <= longest) {
      others.push_back(work);
      continue;
    }
    if (slowest >= 0) others.push_back(longest);
    slowest = static_cast<int>(rank);
    longest = work;
  }
  const bool is_slow = longest > kMinSlowWork &&
                       longest > kSlowFactor * Median(std::move(others));
  return is_slow ? slowest : -1;
}

}  // namespace blockserve
