#include "parallel/control/endpoint_base.h"

#include <glog/logging.h>

#include <chrono>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

std::chrono::steady_clock::time_point ToSteady(absl::Time monotonic) {
  return std::chrono::steady_clock::time_point(
      absl::ToChronoNanoseconds(monotonic - absl::UnixEpoch()));
}

// Until `ready`, or `deadline` on the monotonic clock.
template <typename Ready>
void WaitUntil(std::condition_variable& condition,
               std::unique_lock<std::mutex>& lock, absl::Time deadline,
               Ready ready) {
  if (deadline == absl::InfiniteFuture()) {
    condition.wait(lock, ready);
  } else {
    condition.wait_until(lock, ToSteady(deadline), ready);
  }
}

}  // namespace

absl::StatusOr<Formation> EndpointBase::Form(absl::Time deadline) {
  // Setting the system's clock shall not change how long this waits.
  const absl::Time until = deadline == absl::InfiniteFuture()
                               ? deadline
                               : MonotonicNow() + (deadline - absl::Now());
  std::unique_lock<std::mutex> lock(mutex_);
  if (shut_down_) return absl::CancelledError("shut down");
  refused_ = absl::OkStatus();
  state().BeginForm(MonotonicNow());
  Settle();
  WaitUntil(changed_, lock, until,
            [&] { return shut_down_ || live_ || !refused_.ok(); });
  if (shut_down_) return absl::CancelledError("shut down");
  if (live_) {
    delivered_ = true;
    return formation_;
  }
  if (!refused_.ok()) return refused_;
  const std::string wait = state().DescribeWait();
  state().CancelForm(MonotonicNow());
  Settle();
  return absl::DeadlineExceededError(
      absl::StrCat("the group has not formed: ", wait));
}

absl::StatusOr<std::vector<std::string>> EndpointBase::ExchangeBlobs(
    std::string mine) {
  if (mine.size() > kMaxBlobBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a blob may have ", kMaxBlobBytes, " bytes, got ", mine.size()));
  }
  std::unique_lock<std::mutex> lock(mutex_);
  if (shut_down_ || !live_) return NoEpoch();
  const uint64_t generation = generation_;
  state().PutBlob(std::move(mine), MonotonicNow());
  Settle();
  changed_.wait(lock, [&] { return IsOver(generation) || !blobs_.empty(); });
  if (IsOver(generation)) return NoEpoch();
  std::vector<std::string> blobs = std::move(blobs_.front());
  blobs_.pop_front();
  return blobs;
}

absl::Status EndpointBase::SendPlan(absl::Span<const uint8_t> /*frame*/) {
  return absl::FailedPreconditionError("only the leader plans");
}

absl::StatusOr<std::string> EndpointBase::NextPlan() {
  std::unique_lock<std::mutex> lock(mutex_);
  const uint64_t generation = generation_;
  changed_.wait(lock, [&] { return IsOver(generation) || !plans_.empty(); });
  if (IsOver(generation)) return NoEpoch();
  std::string plan = std::move(plans_.front());
  plans_.pop_front();
  return plan;
}

void EndpointBase::ReportStep(const StepReport& report) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (shut_down_) return;
  state().Report(report, MonotonicNow());
  Settle();
}

void EndpointBase::Fail(const absl::Status& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (shut_down_) return;
  state().Fail(why, MonotonicNow());
  Settle();
}

GroupSnapshot EndpointBase::snapshot() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state().snapshot();
}

absl::Status EndpointBase::NoEpoch() const {
  if (shut_down_) return absl::CancelledError("shut down");
  if (!broken_.ok()) return broken_;
  return absl::FailedPreconditionError("no epoch: the group has not formed");
}

void EndpointBase::Settle() {
  // An event may be answered by another input.
  for (auto events = state().TakeEvents(); !events.empty();
       events = state().TakeEvents()) {
    for (LocalEvent& event : events) Handle(std::move(event));
    changed_.notify_all();
  }
  PerformActions();
  if (!untold_.empty() || state().NextTick() < timer_wakes_at_) {
    timer_wake_.notify_one();
  }
}

void EndpointBase::Handle(LocalEvent event) {
  if (auto* formed = std::get_if<EpochFormed>(&event)) {
    formation_ = std::move(formed->formation);
    plans_.clear();
    blobs_.clear();
    ++generation_;
    live_ = true;
    delivered_ = false;
  } else if (auto* refused = std::get_if<FormRefused>(&event)) {
    refused_ = std::move(refused->why);
  } else if (auto* broken = std::get_if<EpochBroken>(&event)) {
    OnEpochBroken(broken->why);
  } else if (auto* plan = std::get_if<PlanArrived>(&event)) {
    plans_.push_back(std::move(plan->payload));
  } else if (auto* blobs = std::get_if<BlobsArrived>(&event)) {
    blobs_.push_back(std::move(blobs->blobs));
  } else if (auto* line = std::get_if<LogLine>(&event)) {
    if (line->severity == LogLine::kWarning) {
      LOG(WARNING) << "group: " << line->text;
    } else {
      LOG(INFO) << "group: " << line->text;
    }
  }
}

void EndpointBase::OnEpochBroken(const absl::Status& why) {
  live_ = false;
  broken_ = why;
  plans_.clear();
  blobs_.clear();
  if (delivered_) {
    untold_.push_back(why);
  } else {
    // Form has not woken up yet: it waits for the next one instead.
    state().BeginForm(MonotonicNow());
  }
}

void EndpointBase::FreeLater(std::shared_ptr<void> object) {
  garbage_.push_back(std::move(object));
  timer_wake_.notify_one();
}

void EndpointBase::StartTimer() {
  timer_ = std::thread([this] { RunTimer(); });
}

void EndpointBase::RunTimer() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    if (!untold_.empty()) {
      const absl::Status why = std::move(untold_.front());
      untold_.pop_front();
      lock.unlock();
      on_broken_(why);
      lock.lock();
      continue;
    }
    if (!garbage_.empty()) {
      auto garbage = std::exchange(garbage_, {});
      lock.unlock();
      garbage.clear();
      lock.lock();
      continue;
    }
    if (shut_down_) return;
    const absl::Time now = MonotonicNow();
    timer_wakes_at_ = state().NextTick();
    if (now >= timer_wakes_at_) {
      state().Tick(now);
      Settle();
      continue;
    }
    const absl::Time wakes_at = timer_wakes_at_;
    WaitUntil(timer_wake_, lock, wakes_at, [&] {
      return shut_down_ || !untold_.empty() || !garbage_.empty() ||
             state().NextTick() < wakes_at;
    });
  }
}

bool EndpointBase::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (shut_down_) return false;
    shut_down_ = true;
    if (live_ && delivered_)
      untold_.push_back(absl::CancelledError("shut down"));
    live_ = false;
    changed_.notify_all();
    timer_wake_.notify_one();
  }
  if (timer_.joinable()) timer_.join();  // else Start failed
  return true;
}

}  // namespace blockserve
