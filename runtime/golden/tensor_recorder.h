// Keeps what a model's observer sees.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_RECORDER_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_RECORDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/api/tensor_view.h"

namespace blockserve {

class TensorRecorder {
 public:
  struct Record {
    std::vector<int64_t> shape;
    std::vector<float> values;
  };

  // Copies a tensor of floats.
  void Add(std::string_view name, const TensorView& tensor);
  void Clear() { records_.clear(); }

  // Everything seen under `name`, in order; empty if nothing was.
  const std::vector<Record>& Of(const std::string& name) const;
  std::vector<std::string> Names() const;

 private:
  std::map<std::string, std::vector<Record>, std::less<>> records_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_RECORDER_H_
