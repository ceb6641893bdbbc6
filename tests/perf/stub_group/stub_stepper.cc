#include "tests/perf/stub_group/stub_stepper.h"

#include <utility>

#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {

StubStepper::StubStepper(const StubWorkerOptions& options)
    : options_(options), thread_([this] { Run(); }) {}

StubStepper::~StubStepper() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StubStepper::Add(std::shared_ptr<SteppedStream> stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  added_.push_back(std::move(stream));
  changed_.notify_one();
}

void StubStepper::Run() {
  std::vector<std::shared_ptr<SteppedStream>> streams;
  while (true) {
    if (streams.empty()) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !added_.empty(); });
    }
    absl::SleepFor(NextStep(options_, MonotonicNow()) - MonotonicNow());
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      for (auto& stream : added_) streams.push_back(std::move(stream));
      added_.clear();
    }
    std::erase_if(streams, [](const auto& stream) { return !stream->Step(); });
  }
}

}  // namespace blockserve
