// What the engine's tests share: a sink that remembers, requests, and a core
// that is driven by hand.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_TEST_SUPPORT_H_
#define BLOCKSERVE_RUNTIME_ENGINE_TEST_SUPPORT_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/engine/engine_core.h"
#include "runtime/model/fake_model.h"
#include "runtime/request/request.h"

namespace blockserve {

// Remembers what came. Thread-safe.
class RecordingSink final : public RequestSink {
 public:
  void OnTokens(const TokenDelta& delta) override;
  void OnDone(const RequestResult& result) override;

  bool is_done() const;
  int num_deltas() const;
  std::vector<int32_t> tokens() const;
  std::vector<TokenLogprobs> logprobs() const;
  // After OnDone.
  RequestResult result() const;
  // Blocks until OnDone.
  RequestResult Wait();
  // Blocks until so many tokens have come, or OnDone.
  void WaitForTokens(size_t num_tokens);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int32_t> tokens_;
  std::vector<TokenLogprobs> logprobs_;
  int num_deltas_ = 0;
  int num_done_ = 0;
  RequestResult result_;
};

// Holds back whoever passes until it is opened. Thread-safe.
class Gate {
 public:
  void Open();
  void Close();
  void Pass();            // blocks while closed
  void WaitForArrival();  // blocks until someone is held back

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = true;
  int num_held_ = 0;
};

// A model with room for `num_sequences` of up to 64 units.
FakeModelOptions SmallModel(int tokens_per_step, int num_sequences = 8);

// Greedy; the prompt is derived from the id.
GenerateRequest MakeRequest(std::string request_id, int num_prompt_tokens,
                            int max_tokens);

// An EngineCore on a FakeModel and a clock that stands still.
class CoreHarness {
 public:
  explicit CoreHarness(FakeModelOptions model_options,
                       EngineOptions options = {});

  EngineCore& core() { return *core_; }
  FakeModel& model() { return *model_; }
  absl::Time now = absl::UnixEpoch();
  std::vector<StepStats> steps;

  // Adds a request, which must be valid. The second form gives access to what
  // is in the engine.
  std::shared_ptr<RecordingSink> Add(const GenerateRequest& request);
  std::shared_ptr<RecordingSink> Add(const GenerateRequest& request,
                                     ActiveRequest** active);
  std::shared_ptr<RecordingSink> Add(const ScoreRequest& request);

  void Step();      // one step, then OnDone of what has ended
  void RunToEnd();  // until nothing is left; checks that all is free

  // The tokens of a request that runs alone, now.
  std::vector<int32_t> Run(const GenerateRequest& request);

 private:
  FakeModel* model_;  // the core's
  std::unique_ptr<EngineCore> core_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_TEST_SUPPORT_H_
