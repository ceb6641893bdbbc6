#include "runtime/worker/testing/fake_engine.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace blockserve {

void FakeEngine::set_refusal(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  refusal_ = status;
}

void FakeEngine::set_health(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  health_ = status;
}

void FakeEngine::set_load(const EngineLoad& load) {
  absl::MutexLock lock(&mutex_);
  load_ = load;
}

GenerateRequest FakeEngine::WaitForGenerate(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  WaitFor([&] { return Find(id) != nullptr; });
  return Find(id)->generate;
}

ScoreRequest FakeEngine::WaitForScore(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  WaitFor([&] { return Find(id) != nullptr; });
  return Find(id)->score;
}

void FakeEngine::WaitForAbort(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  WaitFor([&] { return Find(id) != nullptr && Find(id)->is_aborted; });
}

void FakeEngine::WaitForDrain() {
  absl::MutexLock lock(&mutex_);
  WaitFor([&] { return draining_; });
}

void FakeEngine::EmitTokens(const std::string& id,
                            const std::vector<int32_t>& tokens,
                            const std::vector<TokenLogprobs>& logprobs) {
  std::shared_ptr<RequestSink> sink;
  {
    absl::MutexLock lock(&mutex_);
    CHECK(Find(id) != nullptr) << id;
    sink = Find(id)->sink;
  }
  sink->OnTokens({tokens, logprobs});
}

void FakeEngine::Finish(const std::string& id, const RequestResult& result) {
  Entry entry;
  {
    absl::MutexLock lock(&mutex_);
    CHECK(Find(id) != nullptr) << id;
    entry = *Find(id);
  }
  entry.sink->OnDone(result);
  absl::MutexLock lock(&mutex_);
  entries_.erase(entry.generate.request_id.empty() ? entry.score.request_id
                                                   : entry.generate.request_id);
  changed_.SignalAll();
}

int FakeEngine::num_open() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(entries_.size());
}

absl::Status FakeEngine::Generate(GenerateRequest request,
                                  std::shared_ptr<RequestSink> sink) {
  const std::string id = request.request_id;
  return Add(
      id,
      {.generate = std::move(request), .score = {}, .sink = std::move(sink)});
}

absl::Status FakeEngine::Score(ScoreRequest request,
                               std::shared_ptr<RequestSink> sink) {
  const std::string id = request.request_id;
  return Add(
      id,
      {.generate = {}, .score = std::move(request), .sink = std::move(sink)});
}

absl::Status FakeEngine::Add(const std::string& id, Entry entry) {
  absl::MutexLock lock(&mutex_);
  if (!refusal_.ok()) return refusal_;
  if (draining_) return absl::UnavailableError("the worker is draining");
  if (!entries_.try_emplace(id, std::move(entry)).second) {
    return absl::AlreadyExistsError(id);
  }
  changed_.SignalAll();
  return absl::OkStatus();
}

void FakeEngine::Abort(std::string_view request_id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(std::string(request_id));
  if (it == entries_.end()) return;
  it->second.is_aborted = true;
  changed_.SignalAll();
}

void FakeEngine::Drain(absl::Time deadline) {
  std::vector<std::shared_ptr<RequestSink>> left;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    changed_.SignalAll();
    while (!entries_.empty() && absl::Now() < deadline) {
      changed_.WaitWithDeadline(&mutex_, deadline);
    }
    for (const auto& [id, entry] : entries_) left.push_back(entry.sink);
    entries_.clear();
  }
  RequestResult result;
  result.status = absl::UnavailableError("the worker is draining");
  for (const std::shared_ptr<RequestSink>& sink : left) sink->OnDone(result);
}

EngineLoad FakeEngine::load() const {
  absl::MutexLock lock(&mutex_);
  return load_;
}

absl::Status FakeEngine::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

const Model& FakeEngine::model() const {
  LOG(FATAL) << "a FakeEngine has no model";
}

void FakeEngine::WaitFor(const std::function<bool()>& condition) const {
  while (!condition()) changed_.Wait(&mutex_);
}

FakeEngine::Entry* FakeEngine::Find(const std::string& id) {
  for (auto& [engine_id, entry] : entries_) {
    if (absl::EndsWith(engine_id, absl::StrCat("/", id))) return &entry;
  }
  return nullptr;
}

}  // namespace blockserve
