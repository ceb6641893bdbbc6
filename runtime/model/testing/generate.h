// Runs prompts through a model the way an engine does, for tests.
#ifndef BLOCKSERVE_RUNTIME_MODEL_TESTING_GENERATE_H_
#define BLOCKSERVE_RUNTIME_MODEL_TESTING_GENERATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/model/model.h"

namespace blockserve {

// A prompt: whole units, and which of its tokens count (empty: all).
struct TestPrompt {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> mask;
};

struct GenerateOptions {
  int num_units = 3;           // to be generated after each prompt
  int chunk_units = 1 << 20;   // prefilled per sequence and step at most
  bool scatter_pages = false;  // give each sequence pages in no order
  int num_tokens = 0;          // per step; 0: tokens_per_step
};

struct Generated {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
};

// `count` ids in [1, vocab_size) that depend on `seed`.
std::vector<int32_t> RandomTokens(int count, int vocab_size, uint32_t seed);

// Generates greedily after all `prompts` in one batch, which needs
// prompts.size() rows; a prompt whose prefill is over decodes while others
// still prefill. The first error of a step ends it.
absl::StatusOr<std::vector<Generated>> Generate(
    Model& model, const std::vector<TestPrompt>& prompts,
    const GenerateOptions& options = {});

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TESTING_GENERATE_H_
