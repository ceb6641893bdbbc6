// tensors.safetensors of a golden directory.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_TENSORS_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_TENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace blockserve {

struct GoldenTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;      // F32
  std::vector<int32_t> integers;  // I64 in the file
};

struct GoldenTensors {
  std::map<std::string, GoldenTensor> tensors;

  // nullptr if the file lacks it.
  const GoldenTensor* Find(const std::string& name) const;
};

// NOT_FOUND without the file; DATA_LOSS for a malformed one, a type other than
// F32 and I64, or an integer outside int32.
absl::StatusOr<GoldenTensors> ReadGoldenTensors(const std::string& path);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_TENSORS_H_
