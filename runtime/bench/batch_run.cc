#include "runtime/bench/batch_run.h"

#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/request/request.h"

namespace blockserve {
namespace {

// Counts down at its end and keeps the first error of all sinks of a batch.
class BatchOutcome {
 public:
  explicit BatchOutcome(int num_requests) : left_(num_requests) {}

  void Done(const absl::Status& status) {
    {
      std::lock_guard lock(mutex_);
      status_.Update(status);
    }
    left_.DecrementCount();
  }
  absl::Status Wait() {
    left_.Wait();
    std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  absl::BlockingCounter left_;
  std::mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

class BatchSink final : public RequestSink {
 public:
  BatchSink(BatchOutcome& outcome, int num_tokens)
      : outcome_(outcome), num_tokens_(num_tokens) {}

  void OnTokens(const TokenDelta&) override {}
  void OnDone(const RequestResult& result) override {
    absl::Status status = result.status;
    if (status.ok() && result.completion_tokens != num_tokens_) {
      status = absl::InternalError(absl::StrCat("expected ", num_tokens_,
                                                " new tokens, got ",
                                                result.completion_tokens));
    }
    outcome_.Done(status);
  }

 private:
  BatchOutcome& outcome_;
  const int num_tokens_;
};

EngineOptions EngineOptionsFor(const BatchShape& shape) {
  EngineOptions options;
  options.max_waiting_requests = shape.batch;
  options.max_waiting_prompt_tokens = int64_t{shape.batch} * shape.prefill;
  options.max_context_tokens = shape.prefill + shape.decode;
  return options;
}

GenerateRequest MakeRequest(const BatchShape& shape, int vocab_size,
                            std::mt19937_64& random) {
  GenerateRequest request;
  std::uniform_int_distribution<int32_t> ids(0, vocab_size - 1);
  request.prompt.reserve(static_cast<size_t>(shape.prefill));
  for (int i = 0; i < shape.prefill; ++i) {
    request.prompt.push_back(ids(random));
  }
  request.sampling.temperature = 0;
  request.sampling.max_tokens = shape.decode;
  request.sampling.ignore_eos = true;
  return request;
}

}  // namespace

BatchTimes& BatchTimes::operator+=(const BatchTimes& other) {
  total += other.total;
  prefill += other.prefill;
  decode += other.decode;
  decode_tokens += other.decode_tokens;
  num_steps += other.num_steps;
  return *this;
}

// Told by the engine's thread; begun and read while the engine is idle.
class BatchRunner::StepRecorder {
 public:
  explicit StepRecorder(int tokens_per_step)
      : tokens_per_step_(tokens_per_step) {}

  void Begin() {
    std::lock_guard lock(mutex_);
    times_ = BatchTimes();
    begin_ = last_ = MonotonicNow();
  }

  void OnStep(const StepStats& stats) {
    std::lock_guard lock(mutex_);
    const absl::Time now = MonotonicNow();
    if (stats.num_prompt_units > 0) {
      times_.prefill += now - last_;
    } else {
      times_.decode += now - last_;
      times_.decode_tokens +=
          int64_t{stats.num_rows} * tokens_per_step_ - stats.wasted_tokens;
    }
    ++times_.num_steps;
    last_ = now;
  }

  BatchTimes End() {
    std::lock_guard lock(mutex_);
    times_.total = MonotonicNow() - begin_;
    return times_;
  }

 private:
  const int tokens_per_step_;
  std::mutex mutex_;
  absl::Time begin_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_ ABSL_GUARDED_BY(mutex_);
  BatchTimes times_ ABSL_GUARDED_BY(mutex_);
};

BatchRunner::BatchRunner(std::unique_ptr<Model> model, const BatchShape& shape)
    : recorder_(std::make_unique<StepRecorder>(model->tokens_per_step())),
      engine_(Engine::Create(
          std::move(model), EngineOptionsFor(shape),
          {.on_step = [recorder = recorder_.get()](
                          const StepStats& stats) { recorder->OnStep(stats); },
           .on_done = nullptr})) {}

BatchRunner::~BatchRunner() = default;

absl::StatusOr<BatchTimes> BatchRunner::Run(const BatchShape& shape,
                                            uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < shape.batch; ++i) {
    requests.push_back(
        MakeRequest(shape, engine_->model().config().vocab_size, random));
    requests.back().request_id = absl::StrCat("bench-", num_requests_++);
  }
  BatchOutcome outcome(shape.batch);
  recorder_->Begin();
  for (GenerateRequest& request : requests) {
    const absl::Status status = engine_->Generate(
        std::move(request), std::make_shared<BatchSink>(outcome, shape.decode));
    // Refused: its sink is not called.
    if (!status.ok()) outcome.Done(status);
  }
  RETURN_IF_ERROR(outcome.Wait());
  return recorder_->End();
}

}  // namespace blockserve
