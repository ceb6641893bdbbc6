#include "runtime/worker/group_join.h"

#include <glog/logging.h>

#include <cstdint>
#include <cstdlib>
#include <thread>

#include "absl/synchronization/notification.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/serving/log_line.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

// After so long the log says who is missing.
constexpr absl::Duration kFormTimeout = absl::Seconds(10);
// Between attempts that fail at once.
constexpr absl::Duration kRetryPause = absl::Milliseconds(100);
// What a Join gets to notice that it was stopped.
constexpr absl::Duration kStopTimeout = absl::Seconds(2);
// Weights smaller than this load before anyone could read a progress line.
constexpr int64_t kProgressFromBytes = int64_t{1} << 28;

// A line every tenth of a large checkpoint.
class ProgressLogger {
 public:
  void operator()(int64_t bytes, int64_t total_bytes) {
    if (total_bytes < kProgressFromBytes) return;
    const int tenth = static_cast<int>(bytes * 10 / total_bytes);
    if (tenth == last_tenth_) return;
    last_tenth_ = tenth;
    LOG(INFO) << LogLine("loading", {{"percent", tenth * 10},
                                     {"bytes", bytes},
                                     {"total_bytes", total_bytes}});
  }

 private:
  int last_tenth_ = 0;
};

absl::Status JoinUntilStopped(RankHost& host,
                              const absl::Notification& stopped) {
  while (!stopped.HasBeenNotified()) {
    const absl::Status joined =
        host.Join(absl::Now() + kFormTimeout, ProgressLogger());
    if (joined.ok() || !IsTransient(joined)) return joined;
    LOG(WARNING) << LogLine("group_not_formed", {{"why", joined.message()}});
    stopped.WaitForNotificationWithTimeout(kRetryPause);
  }
  return absl::CancelledError("stopped");
}

}  // namespace

absl::StatusOr<bool> JoinUntilSignal(RankHost& host) {
  absl::Notification stopped;
  absl::Notification done;
  absl::Status joined;
  std::thread joiner([&] {
    joined = JoinUntilStopped(host, stopped);
    done.Notify();
  });
  while (!done.WaitForNotificationWithTimeout(kPollInterval)) {
    if (!WaitForShutdownSignal(absl::ZeroDuration())) continue;
    stopped.Notify();
    host.Stop();
    if (host.rank() == nullptr ||
        !done.WaitForNotificationWithTimeout(kStopTimeout)) {
      LOG(INFO) << LogLine("stopped_while_loading");
      std::_Exit(kExitOk);
    }
    joiner.join();
    return false;
  }
  joiner.join();
  if (!joined.ok()) return joined;
  return true;
}

}  // namespace blockserve
