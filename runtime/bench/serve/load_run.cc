#include "runtime/bench/serve/load_run.h"

#include <sys/resource.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/bench/serve/token_stream.h"

namespace blockserve {
namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                               absl::DurationFromTimeval(usage.ru_stime));
}

// One thread sends; gRPC's threads collect.
class LoadRun {
 public:
  LoadRun(const LoadOptions& options, const ServerPool& servers)
      : options_(options),
        servers_(servers),
        num_total_(options.num_warmup + options.num_requests) {
    samples_.resize(num_total_);
    if (options.concurrency == 0) {
      arrivals_ = ScheduleArrivals(options.arrivals, num_total_);
    }
  }

  LoadResult Run() {
    double cpu_before = 0;
    for (int i = 0; i < num_total_; ++i) {
      if (i == options_.num_warmup) cpu_before = CpuSeconds();
      Send(i);
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return num_running_ == 0; });
    LoadResult result;
    result.cpu_seconds = CpuSeconds() - cpu_before;
    result.samples.assign(
        std::make_move_iterator(samples_.begin() + options_.num_warmup),
        std::make_move_iterator(samples_.end()));
    return result;
  }

 private:
  void Send(int index) {
    // Before it is due: the work takes time.
    v1::GenerateStreamRequest request =
        MakeBenchRequest(options_.shape, servers_.model().vocab_size(), index);
    const absl::Time start = AwaitTurn(index);
    TokenStream::Begin(
        servers_.ForRequest(index), std::move(request), start, options_.timeout,
        [this, index, start](RequestSample sample) {
          sample.start_seconds = absl::ToUnixNanos(start + to_unix_) / 1e9;
          OnDone(index, std::move(sample));
        });
  }

  // Blocks until the request is due; returns when it was.
  absl::Time AwaitTurn(int index) {
    if (options_.concurrency == 0) {
      const absl::Time due = begin_ + arrivals_[index];
      absl::SleepFor(due - MonotonicNow());
      const std::lock_guard<std::mutex> lock(mutex_);
      ++num_running_;
      return due;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return num_running_ < options_.concurrency; });
    ++num_running_;
    return MonotonicNow();
  }

  void OnDone(int index, RequestSample sample) {
    const std::lock_guard<std::mutex> lock(mutex_);
    samples_[index] = std::move(sample);
    --num_running_;
    changed_.notify_one();  // under the lock: Run may return right after
  }

  const LoadOptions& options_;
  const ServerPool& servers_;
  const int num_total_;
  const absl::Time begin_ = MonotonicNow();
  const absl::Duration to_unix_ = absl::Now() - begin_;
  std::vector<absl::Duration> arrivals_;  // of an open loop

  std::mutex mutex_;
  std::condition_variable changed_;
  int num_running_ = 0;                 // guarded by mutex_, as is samples_
  std::vector<RequestSample> samples_;  // warm-up first
};

}  // namespace

LoadResult RunLoad(const LoadOptions& options, const ServerPool& servers) {
  return LoadRun(options, servers).Run();
}

}  // namespace blockserve
