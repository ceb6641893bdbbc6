#include "runtime/engine/test_support.h"

#include <glog/logging.h>

#include <utility>

namespace blockserve {

void RecordingSink::OnTokens(const TokenDelta& delta) {
  {
    std::lock_guard lock(mutex_);
    CHECK_EQ(num_done_, 0) << "tokens after the end";
    CHECK(!delta.tokens.empty());
    CHECK(delta.logprobs.empty() ||
          delta.logprobs.size() == delta.tokens.size());
    tokens_.insert(tokens_.end(), delta.tokens.begin(), delta.tokens.end());
    logprobs_.insert(logprobs_.end(), delta.logprobs.begin(),
                     delta.logprobs.end());
    ++num_deltas_;
  }
  changed_.notify_all();
}

void RecordingSink::OnDone(const RequestResult& result) {
  // Under the lock, since a waiter may destroy the sink as soon as it wakes.
  std::lock_guard lock(mutex_);
  CHECK_EQ(++num_done_, 1) << "ended twice";
  result_ = result;
  changed_.notify_all();
}

bool RecordingSink::is_done() const {
  std::lock_guard lock(mutex_);
  return num_done_ > 0;
}

int RecordingSink::num_deltas() const {
  std::lock_guard lock(mutex_);
  return num_deltas_;
}

std::vector<int32_t> RecordingSink::tokens() const {
  std::lock_guard lock(mutex_);
  return tokens_;
}

std::vector<TokenLogprobs> RecordingSink::logprobs() const {
  std::lock_guard lock(mutex_);
  return logprobs_;
}

RequestResult RecordingSink::result() const {
  std::lock_guard lock(mutex_);
  CHECK_EQ(num_done_, 1);
  return result_;
}

RequestResult RecordingSink::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return num_done_ > 0; });
  return result_;
}

void RecordingSink::WaitForTokens(size_t num_tokens) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock,
                [&] { return tokens_.size() >= num_tokens || num_done_ > 0; });
}

void Gate::Open() {
  {
    std::lock_guard lock(mutex_);
    is_open_ = true;
  }
  changed_.notify_all();
}

void Gate::Close() {
  std::lock_guard lock(mutex_);
  is_open_ = false;
}

void Gate::Pass() {
  std::unique_lock lock(mutex_);
  ++num_held_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return is_open_; });
  --num_held_;
}

void Gate::WaitForArrival() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return num_held_ > 0; });
}

FakeModelOptions SmallModel(int tokens_per_step, int num_sequences) {
  constexpr int kMaxUnits = 64;
  FakeModelOptions options;
  options.tokens_per_step = tokens_per_step;
  options.limits = {.max_units_per_step = 2 * num_sequences,
                    .max_rows_per_step = num_sequences,
                    .max_sequences_per_step = num_sequences,
                    .max_units_per_sequence = kMaxUnits,
                    .num_pages = num_sequences * kMaxUnits / kPageLength};
  return options;
}

GenerateRequest MakeRequest(std::string request_id, int num_prompt_tokens,
                            int max_tokens) {
  GenerateRequest request;
  uint32_t value = 17;
  for (char c : request_id) value = value * 31 + static_cast<uint8_t>(c);
  for (int i = 0; i < num_prompt_tokens; ++i) {
    value = value * 1664525u + 1013904223u;
    request.prompt.push_back(static_cast<int32_t>((value >> 8) % 900));
  }
  request.request_id = std::move(request_id);
  request.sampling.temperature = 0.0f;
  request.sampling.max_tokens = max_tokens;
  return request;
}

CoreHarness::CoreHarness(FakeModelOptions model_options,
                         EngineOptions options) {
  auto model = std::make_unique<FakeModel>(std::move(model_options));
  model_ = model.get();
  EngineObserver observer;
  steps.reserve(1000);
  observer.on_step = [this](const StepStats& stats) { steps.push_back(stats); };
  core_ = std::make_unique<EngineCore>(
      std::move(model), options, std::move(observer), [this] { return now; });
}

std::shared_ptr<RecordingSink> CoreHarness::Add(const GenerateRequest& request,
                                                ActiveRequest** active) {
  const absl::Status status = CheckRequest(request, core_->request_limits());
  CHECK(status.ok()) << status.ToString();
  auto sink = std::make_shared<RecordingSink>();
  auto added = std::make_unique<ActiveRequest>(core_->model().config(), request,
                                               sink, now);
  *active = added.get();
  core_->Add(std::move(added));
  return sink;
}

std::shared_ptr<RecordingSink> CoreHarness::Add(
    const GenerateRequest& request) {
  ActiveRequest* active = nullptr;
  return Add(request, &active);
}

std::shared_ptr<RecordingSink> CoreHarness::Add(const ScoreRequest& request) {
  const absl::Status status = CheckRequest(request, core_->request_limits());
  CHECK(status.ok()) << status.ToString();
  auto sink = std::make_shared<RecordingSink>();
  core_->Add(std::make_unique<ActiveRequest>(core_->model().config(), request,
                                             sink, now));
  return sink;
}

void CoreHarness::Step() {
  core_->Schedule();
  core_->DeliverFinished();
  core_->RunStep();
  core_->DeliverFinished();
}

void CoreHarness::RunToEnd() {
  for (int i = 0; !core_->empty(); ++i) {
    CHECK_LT(i, 100000) << "no progress";
    Step();
  }
  core_->DeliverFinished();
  CHECK_EQ(core_->load().pages_used, 0);
  CHECK_EQ(core_->load().num_running, 0);
  CHECK_EQ(core_->load().waiting_prompt_tokens, 0);
  CHECK(model_->CheckAll().ok()) << model_->CheckAll().ToString();
}

std::vector<int32_t> CoreHarness::Run(const GenerateRequest& request) {
  const auto sink = Add(request);
  RunToEnd();
  CHECK(sink->result().status.ok()) << sink->result().status.ToString();
  return sink->tokens();
}

}  // namespace blockserve
