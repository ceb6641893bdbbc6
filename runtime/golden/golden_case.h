// Runs a directory of golden vectors: a checkpoint and what the reference
// implementation computes from it (the format is in tests/testdata/golden).
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_CASE_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_CASE_H_

#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/golden/golden_devices.h"

namespace blockserve {

struct GoldenOptions {
  std::string backend = "cpu";
  std::string dtype = "fp32";  // or "bf16", with wider bounds
  int num_ranks = 1;           // threads of this process that share the model
  GoldenDevices devices = {};  // instead of `backend`
};

struct GoldenResult {
  int passed = 0;
  int failed = 0;
};

// Checks everything that `directory` has: configuration, generation one prompt
// at a time and in batches, prompts without room, scores, intermediate tensors.
// Writes a line per check to `log`. A check that fails is counted; a directory
// or checkpoint that cannot be read is an error that names file and key.
absl::StatusOr<GoldenResult> RunGoldenCase(const std::string& directory,
                                           const GoldenOptions& options,
                                           std::ostream& log);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_CASE_H_
