#include "runtime/worker/load_reporter.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/worker/worker_conversion.h"

namespace blockserve {
namespace {

using worker::v1::WatchLoadRequest;
using worker::v1::WatchLoadResponse;

constexpr absl::Duration kDefaultInterval = absl::Milliseconds(100);
constexpr absl::Duration kShortestInterval = absl::Milliseconds(10);
constexpr absl::Duration kLongestInterval = absl::Seconds(10);
// Unchanged, a load comes after so many intervals.
constexpr int kHeartbeatIntervals = 5;

absl::Duration IntervalOf(const WatchLoadRequest& request) {
  if (!request.has_min_interval()) return kDefaultInterval;
  return std::clamp(FromProto(request.min_interval()), kShortestInterval,
                    kLongestInterval);
}

}  // namespace

// One stream. Its state is guarded by the reporter's mutex. Deletes itself when
// the call is over.
class LoadReporter::Watcher
    : public grpc::ServerWriteReactor<WatchLoadResponse> {
 public:
  Watcher(LoadReporter* reporter, absl::Duration interval)
      : reporter_(reporter), interval_(interval) {}

  // Sends `load` if it is time for it; `at_once`: if it has changed.
  void Update(const WatchLoadResponse& load, absl::Time now, bool at_once) {
    if (writing_ || finished_ || ending_ || broken_) return;
    std::string bytes = load.SerializeAsString();
    const bool has_changed = bytes != last_bytes_;
    const absl::Duration age = now - last_time_;
    const bool is_due = has_changed ? at_once || age >= interval_
                                    : age >= kHeartbeatIntervals * interval_;
    if (!is_due) return;
    last_bytes_ = std::move(bytes);
    last_time_ = now;
    Send(load);
  }

  // When to look again: not before the interval is over, and then as often, to
  // see a change.
  absl::Time next_time(absl::Time now) const {
    if (writing_ || finished_) return absl::InfiniteFuture();
    const absl::Time next = last_time_ + interval_;
    return next > now ? next : now + interval_;
  }

  // Sends `load`, after what is being sent, and ends the call.
  void End(const WatchLoadResponse& load) {
    ending_ = true;
    last_load_ = load;
    FinishIfOver();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&reporter_->mutex_);
    writing_ = false;
    broken_ = broken_ || !ok;
    FinishIfOver();
    reporter_->wake_.Signal();
  }

  void OnCancel() override {
    absl::MutexLock lock(&reporter_->mutex_);
    broken_ = true;
    FinishIfOver();
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&reporter_->mutex_);
      reporter_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void Send(const WatchLoadResponse& load) {
    load_ = load;
    writing_ = true;
    StartWrite(&load_);
  }

  void FinishIfOver() {
    if (writing_ || finished_ || !(ending_ || broken_)) return;
    if (last_load_.has_value() && !broken_) {
      Send(*std::exchange(last_load_, std::nullopt));
      return;
    }
    finished_ = true;
    Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE,
                        "the worker is shutting down"));
  }

  LoadReporter* const reporter_;
  const absl::Duration interval_;
  absl::Time last_time_ = absl::InfinitePast();
  std::string last_bytes_;
  WatchLoadResponse load_;                      // gRPC's while writing_
  std::optional<WatchLoadResponse> last_load_;  // to be sent at the end
  bool writing_ = false;
  bool ending_ = false;
  bool broken_ = false;
  bool finished_ = false;
};

LoadReporter::LoadReporter(std::function<WatchLoadResponse()> read_load)
    : read_load_(std::move(read_load)), thread_([this] { Run(); }) {}

LoadReporter::~LoadReporter() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  thread_.join();
}

grpc::ServerWriteReactor<WatchLoadResponse>* LoadReporter::Watch(
    const WatchLoadRequest& request) {
  auto* watcher = new Watcher(this, IntervalOf(request));
  absl::MutexLock lock(&mutex_);
  watchers_.insert(watcher);
  if (shut_down_) {
    watcher->End(read_load_());
  } else {
    watcher->Update(read_load_(), MonotonicNow(), /*at_once=*/true);
  }
  wake_.Signal();
  return watcher;
}

void LoadReporter::Notify() {
  absl::MutexLock lock(&mutex_);
  notified_ = true;
  wake_.Signal();
}

void LoadReporter::Shutdown() {
  absl::MutexLock lock(&mutex_);
  shut_down_ = true;
  const WatchLoadResponse load = read_load_();
  for (Watcher* watcher : watchers_) watcher->End(load);
}

absl::Time LoadReporter::UpdateWatchers(bool at_once) {
  absl::Time next = absl::InfiniteFuture();
  if (watchers_.empty()) return next;
  const WatchLoadResponse load = read_load_();
  const absl::Time now = MonotonicNow();
  for (Watcher* watcher : watchers_) {
    watcher->Update(load, now, at_once);
    next = std::min(next, watcher->next_time(now));
  }
  return next;
}

void LoadReporter::Run() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Time next = UpdateWatchers(std::exchange(notified_, false));
    const absl::Duration wait = next - MonotonicNow();
    if (!notified_ && wait > absl::ZeroDuration()) {
      wake_.WaitWithTimeout(&mutex_, wait);
    }
  }
}

}  // namespace blockserve
