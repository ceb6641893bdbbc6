// An engine that does what its test says, when it says it.
#ifndef BLOCKSERVE_RUNTIME_WORKER_TESTING_FAKE_ENGINE_H_
#define BLOCKSERVE_RUNTIME_WORKER_TESTING_FAKE_ENGINE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request.h"

namespace blockserve {

// Keeps requests until the test ends them; the test's calls stand for the
// engine's thread, so they come one at a time. Requests are found by the part
// of their id behind the last '/'. Drain ends nothing before its deadline but
// returns when the test has ended all. Thread-safe otherwise.
class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(EngineOptions options = {}) : options_(options) {}

  // --- the test's side ----------------------------------------------------
  void set_refusal(const absl::Status& status);  // of new requests
  void set_health(const absl::Status& status);
  void set_load(const EngineLoad& load);

  // Blocks until the request is there.
  GenerateRequest WaitForGenerate(const std::string& id);
  ScoreRequest WaitForScore(const std::string& id);
  // Blocks until the request was aborted.
  void WaitForAbort(const std::string& id);
  void WaitForDrain();  // until Drain was called

  void EmitTokens(const std::string& id, const std::vector<int32_t>& tokens,
                  const std::vector<TokenLogprobs>& logprobs = {});
  void Finish(const std::string& id, const RequestResult& result);
  int num_open() const;

  // --- Engine -------------------------------------------------------------
  absl::Status Generate(GenerateRequest request,
                        std::shared_ptr<RequestSink> sink) override;
  absl::Status Score(ScoreRequest request,
                     std::shared_ptr<RequestSink> sink) override;
  void Abort(std::string_view request_id) override;
  void Drain(absl::Time deadline) override;
  void Suspend(const absl::Status& why) override { set_health(why); }
  void Resume() override { set_health(absl::OkStatus()); }
  EngineLoad load() const override;
  absl::Status health() const override;
  const Model& model() const override;  // there is none
  const EngineOptions& options() const override { return options_; }

 private:
  struct Entry {
    GenerateRequest generate;
    ScoreRequest score;
    std::shared_ptr<RequestSink> sink;
    bool is_aborted = false;
  };

  absl::Status Add(const std::string& id, Entry entry);
  // Blocks until `condition` holds.
  void WaitFor(const std::function<bool()>& condition) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* Find(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const EngineOptions options_;
  mutable absl::Mutex mutex_;
  mutable absl::CondVar changed_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  EngineLoad load_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_TESTING_FAKE_ENGINE_H_
