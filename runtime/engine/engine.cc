#include "runtime/engine/engine.h"

#include <glog/logging.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/engine/engine_core.h"
#include "runtime/engine/request_checks.h"

namespace blockserve {
namespace {

// Puts a thread of its own and an inbox around an EngineCore. The thread takes
// the lock once a step, to exchange news with the others: it gets what was
// submitted, they get the load. No sink is called under the lock. std::mutex,
// unlike Abseil's in a system library, is seen by ThreadSanitizer.
class ThreadedEngine final : public Engine {
 public:
  ThreadedEngine(std::unique_ptr<Model> model, const EngineOptions& options,
                 EngineObserver observer)
      : options_(options),
        core_(std::move(model), options, std::move(observer), &absl::Now),
        config_(core_.model().config()),
        request_limits_(core_.request_limits()),
        load_(core_.load()),
        thread_([this] { Run(); }) {}

  ~ThreadedEngine() override {
    {
      std::lock_guard lock(mutex_);
      is_stopping_ = true;
      if (ending_.ok()) {
        ending_ = absl::CancelledError("the engine was stopped");
      }
    }
    wake_.notify_one();
    thread_.join();
  }

  absl::Status Generate(GenerateRequest request,
                        std::shared_ptr<RequestSink> sink) override {
    RETURN_IF_ERROR(CheckRequest(request, request_limits_));
    return Submit(std::make_unique<ActiveRequest>(
        config_, request, std::move(sink), absl::Now()));
  }

  absl::Status Score(ScoreRequest request,
                     std::shared_ptr<RequestSink> sink) override {
    RETURN_IF_ERROR(CheckRequest(request, request_limits_));
    return Submit(std::make_unique<ActiveRequest>(
        config_, request, std::move(sink), absl::Now()));
  }

  void Abort(std::string_view request_id) override {
    std::lock_guard lock(mutex_);
    const auto request =
        open_.find(absl::string_view(request_id.data(), request_id.size()));
    if (request != open_.end()) request->second->RequestCancel();
  }

  void Drain(absl::Time deadline) override {
    std::unique_lock lock(mutex_);
    is_draining_ = true;
    const auto is_done = [this] { return num_untold_ == 0; };
    if (deadline == absl::InfiniteFuture()) {
      told_.wait(lock, is_done);
      return;
    }
    const auto time = absl::ToChronoTime(std::max(deadline, absl::UnixEpoch()));
    if (told_.wait_until(lock, time, is_done)) return;
    if (ending_.ok()) {
      ending_ = absl::UnavailableError("the worker is draining");
    }
    told_.wait(lock, is_done);
  }

  void Suspend(const absl::Status& why) override {
    std::unique_lock lock(mutex_);
    suspension_ = why;
    told_.wait(lock, [this] { return num_untold_ == 0; });
  }

  void Resume() override {
    std::lock_guard lock(mutex_);
    CHECK(!suspension_.ok()) << "Resume without Suspend";
    CHECK_EQ(num_untold_, 0);
    // Nothing was taken in since: the thread waits, the core is ours.
    core_.Recover();
    health_ = core_.health();
    suspension_ = absl::OkStatus();
  }

  EngineLoad load() const override {
    std::lock_guard lock(mutex_);
    EngineLoad load = load_;
    load.num_waiting += static_cast<int>(inbox_.size());
    load.waiting_prompt_tokens += inbox_prompt_tokens_;
    return load;
  }

  absl::Status health() const override {
    std::lock_guard lock(mutex_);
    return suspension_.ok() ? health_ : suspension_;
  }

  const Model& model() const override { return core_.model(); }
  const EngineOptions& options() const override { return options_; }

 private:
  absl::Status Submit(std::unique_ptr<ActiveRequest> request) {
    {
      std::lock_guard lock(mutex_);
      RETURN_IF_ERROR(CheckAdmissible(*request));
      open_.emplace(request->request_id(), request.get());
      ++num_untold_;
      inbox_prompt_tokens_ += request->num_prompt_tokens();
      inbox_.push_back(std::move(request));
    }
    wake_.notify_one();
    return absl::OkStatus();
  }

  absl::Status CheckAdmissible(const ActiveRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!suspension_.ok()) return suspension_;
    if (!health_.ok()) return absl::UnavailableError(health_.message());
    if (is_draining_ || is_stopping_) {
      return absl::UnavailableError("the worker is draining");
    }
    if (open_.contains(request.request_id())) {
      return absl::AlreadyExistsError(absl::StrCat(
          "request_id must be unique, but ", request.request_id(), " runs"));
    }
    const int num_waiting = load_.num_waiting + static_cast<int>(inbox_.size());
    if (num_waiting >= options_.max_waiting_requests) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the queue is full: ", num_waiting, " of at most ",
                       options_.max_waiting_requests, " requests wait"));
    }
    // An empty queue takes any prompt, so that none is refused for ever.
    const int64_t num_tokens = load_.waiting_prompt_tokens +
                               inbox_prompt_tokens_ +
                               request.num_prompt_tokens();
    if (num_waiting > 0 && num_tokens > options_.max_waiting_prompt_tokens) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the queue is full: ", num_tokens,
                       " prompt tokens would wait, of at "
                       "most ",
                       options_.max_waiting_prompt_tokens));
    }
    return absl::OkStatus();
  }

  void Run() {
    int num_told = 0;
    while (Exchange(num_told)) {
      // Only now, so that whoever hears of an end finds its pages free and its
      // id unused.
      num_told = core_.DeliverFinished();
      core_.RunStep();
    }
  }

  // Takes what came in since the last step, decides who runs in the next one
  // and publishes the result. Waits while there is nothing to do; false: all is
  // done, stop. `num_told` requests were told of their end meanwhile.
  bool Exchange(int num_told) {
    std::unique_lock lock(mutex_);
    num_untold_ -= num_told;
    if (num_told > 0 && num_untold_ == 0) told_.notify_all();
    if (core_.empty() && core_.finished().empty()) {
      wake_.wait(lock, [this] { return !inbox_.empty() || is_stopping_; });
      if (inbox_.empty()) return false;
    }
    for (std::unique_ptr<ActiveRequest>& request : inbox_) {
      core_.Add(std::move(request));
    }
    inbox_.clear();
    inbox_prompt_tokens_ = 0;
    if (!ending_.ok()) {
      core_.EndAll(ending_);
    } else if (!suspension_.ok()) {
      core_.EndAll(suspension_);
    } else {
      core_.Schedule();
    }
    for (const std::unique_ptr<ActiveRequest>& request : core_.finished()) {
      open_.erase(request->request_id());
    }
    load_ = core_.load();
    health_ = core_.health();
    return true;
  }

  const EngineOptions options_;
  EngineCore core_;  // the thread's own, but for its constants
  const ModelConfig& config_;
  const RequestLimits request_limits_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;  // the engine's thread
  std::condition_variable told_;  // num_untold_ is 0
  std::vector<std::unique_ptr<ActiveRequest>> inbox_ ABSL_GUARDED_BY(mutex_);
  int64_t inbox_prompt_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  // Accepted and not known to have ended, by id.
  absl::flat_hash_map<std::string, ActiveRequest*> open_
      ABSL_GUARDED_BY(mutex_);
  // Accepted, and OnDone has not returned yet.
  int num_untold_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status ending_ ABSL_GUARDED_BY(mutex_);  // not OK: end all with it
  // The same, until Resume.
  absl::Status suspension_ ABSL_GUARDED_BY(mutex_);
  EngineLoad load_ ABSL_GUARDED_BY(mutex_);
  absl::Status health_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Engine> Engine::Create(std::unique_ptr<Model> model,
                                       const EngineOptions& options,
                                       EngineObserver observer) {
  CHECK(model != nullptr);
  CHECK_GE(options.max_waiting_requests, 1);
  return std::make_unique<ThreadedEngine>(std::move(model), options,
                                          std::move(observer));
}

}  // namespace blockserve
