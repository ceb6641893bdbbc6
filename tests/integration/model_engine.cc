#include "tests/integration/model_engine.h"

#include <glog/logging.h>

#include <random>
#include <utility>

#include "runtime/backend/backend.h"
#include "runtime/model/model.h"

namespace blockserve {

ModelEngine::ModelEngine(const std::string& directory,
                         const std::string& backend) {
  auto ops = CreateBackend({.backend = backend, .dtype = "fp32"});
  CHECK(ops.ok()) << ops.status().ToString();
  ops_ = *std::move(ops);
  ModelOptions options;
  options.limits = {.max_units_per_step = 256,
                    .max_rows_per_step = 64,
                    .max_sequences_per_step = 64,
                    .max_units_per_sequence = 128,
                    .num_pages = 64 * 128 / kPageLength};
  auto model = LoadModel(directory, options, *ops_);
  CHECK(model.ok()) << model.status().ToString();
  EngineOptions engine_options;
  engine_options.max_waiting_requests = 1000;
  engine_ = Engine::Create(*std::move(model), engine_options);
}

std::shared_ptr<RecordingSink> ModelEngine::Submit(
    const GenerateRequest& request) {
  auto sink = std::make_shared<RecordingSink>();
  const absl::Status status = engine_->Generate(request, sink);
  CHECK(status.ok()) << status.ToString();
  return sink;
}

std::shared_ptr<RecordingSink> ModelEngine::Submit(
    const ScoreRequest& request) {
  auto sink = std::make_shared<RecordingSink>();
  const absl::Status status = engine_->Score(request, sink);
  CHECK(status.ok()) << status.ToString();
  return sink;
}

std::shared_ptr<RecordingSink> ModelEngine::Run(
    const GenerateRequest& request) {
  auto sink = Submit(request);
  const RequestResult result = sink->Wait();
  CHECK(result.status.ok()) << result.status.ToString();
  return sink;
}

std::vector<std::string> HostBackends() {
  std::vector<std::string> backends = LinkedBackends();
  std::erase(backends, "cuda");
  return backends;
}

GenerateRequest RandomPrompt(std::string request_id, int count, int vocab_size,
                             uint32_t seed) {
  std::mt19937 random(seed);
  GenerateRequest request;
  request.request_id = std::move(request_id);
  for (int i = 0; i < count; ++i) {
    request.prompt.push_back(
        static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
  }
  request.sampling.temperature = 0.0f;
  return request;
}

}  // namespace blockserve
