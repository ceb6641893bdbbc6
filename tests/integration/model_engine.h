// An engine over a real model, for tests.
#ifndef BLOCKSERVE_TESTS_INTEGRATION_MODEL_ENGINE_H_
#define BLOCKSERVE_TESTS_INTEGRATION_MODEL_ENGINE_H_

#include <memory>
#include <string>
#include <vector>

#include "kernels/api/ops.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/test_support.h"
#include "runtime/request/request.h"

namespace blockserve {

// CHECK-fails where something goes wrong that the test is not about.
class ModelEngine {
 public:
  // Loads the checkpoint in fp32, with room for 64 sequences of 128 units.
  ModelEngine(const std::string& directory, const std::string& backend);

  Engine& engine() { return *engine_; }
  int tokens_per_step() const { return engine_->model().tokens_per_step(); }
  int vocab_size() const { return engine_->model().config().vocab_size; }

  std::shared_ptr<RecordingSink> Submit(const GenerateRequest& request);
  std::shared_ptr<RecordingSink> Submit(const ScoreRequest& request);
  // Submits and waits.
  std::shared_ptr<RecordingSink> Run(const GenerateRequest& request);

 private:
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<Engine> engine_;
};

// The backends that need no device of their own.
std::vector<std::string> HostBackends();

// `request` with `count` prompt tokens that are drawn from `seed`.
GenerateRequest RandomPrompt(std::string request_id, int count, int vocab_size,
                             uint32_t seed);

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_INTEGRATION_MODEL_ENGINE_H_
