// Keeps what the observers of a model's ranks see.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_RECORDER_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_RECORDER_H_

#include <cstdint>
#include <map>
#include <mutex>
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

  // Copies a tensor of floats, seen by `rank` in the step numbered `step`. Any
  // thread, but those of one rank in order.
  void Add(int rank, int64_t step, std::string_view name,
           const TensorView& tensor);
  // Not while a step runs, as all that follows.
  void Clear();

  // Everything seen under `name`, in order; empty if nothing was. Of what is
  // dealt to the ranks by rows (the token decoder's tensors and the logits) the
  // rows of all ranks, else what rank 0 saw.
  const std::vector<Record>& Of(const std::string& name) const;
  std::vector<std::string> Names() const;

 private:
  // What was seen under one name: by rank, by step, in order.
  using RanksOfSteps = std::map<int64_t, std::map<int, std::vector<Record>>>;

  static std::vector<Record> Join(const RanksOfSteps& steps, bool is_dealt);

  std::mutex mutex_;
  std::map<std::string, RanksOfSteps, std::less<>> seen_;
  mutable std::map<std::string, std::vector<Record>, std::less<>> joined_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_RECORDER_H_
