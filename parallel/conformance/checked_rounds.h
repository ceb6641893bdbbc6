// Collectives whose results a rank can check by itself.
#ifndef BLOCKSERVE_PARALLEL_CONFORMANCE_CHECKED_ROUNDS_H_
#define BLOCKSERVE_PARALLEL_CONFORMANCE_CHECKED_ROUNDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/communicator.h"
#include "parallel/api/shard.h"

namespace blockserve {

class CheckedRounds {
 public:
  // What a communicator must be made for.
  static constexpr size_t kBytes = 61 * 300 * sizeof(float);

  explicit CheckedRounds(Communicator& communicator);

  // One collective of each kind that moves data; all ranks call it with the
  // same `round`. False if one came back OK and with something wrong in it.
  bool Run(int round);

 private:
  TensorView data();
  void Fill(int round, ShardRange rows);
  bool Holds(ShardRange rows, absl::FunctionRef<float(int64_t)> expected);

  Communicator& communicator_;
  std::vector<float> values_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONFORMANCE_CHECKED_ROUNDS_H_
