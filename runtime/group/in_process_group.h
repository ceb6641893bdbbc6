// A group whose ranks are threads of this process: for golden checks,
// benchmarks and tests.
#ifndef BLOCKSERVE_RUNTIME_GROUP_IN_PROCESS_GROUP_H_
#define BLOCKSERVE_RUNTIME_GROUP_IN_PROCESS_GROUP_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/communicator.h"
#include "runtime/config/model_config.h"
#include "runtime/model/model.h"
#include "runtime/weights/checkpoint.h"

namespace blockserve {

struct InProcessGroupOptions {
  int size = 1;
  // If not -1, only this one of the ranks is here; whoever has the others takes
  // the same steps. Needs `connect`. The model is then that rank's.
  int only_rank = -1;
  // Of every rank, but `on_part` of rank 0 alone; `group` and `observer` are
  // filled in.
  ModelOptions model;
  // Makes one rank's device. Called for one rank after the other.
  std::function<absl::StatusOr<std::unique_ptr<Ops>>(int rank)> create_ops;
  // As ModelOptions::observer, told by which rank. Called by the ranks' threads
  // at once, by each in order.
  std::function<void(int, std::string_view, const TensorView&)> observer;
  // Connects a rank of several whose tensors are not in host memory. Called for
  // all ranks at once, in threads of their own. Not set: over host memory.
  std::function<absl::StatusOr<std::unique_ptr<Communicator>>(
      int rank, const CommunicatorLimits& limits, Ops& ops)>
      connect;
  // May put something around a rank's communicator.
  std::function<std::unique_ptr<Communicator>(int,
                                              std::unique_ptr<Communicator>)>
      wrap_communicator;
};

// A model whose every step runs on all ranks; it returns what rank 0 returned,
// or the first error of the lowest rank. Its sizes are rank 0's. `size` 1 is
// the model alone, without a thread. Errors as LoadModel, `create_ops`
// and `connect`.
class InProcessGroup : public Model {
 public:
  static absl::StatusOr<std::unique_ptr<InProcessGroup>> Load(
      const std::string& directory, const InProcessGroupOptions& options);
  // The same of tensors that need not lie on a disk: one checkpoint a rank.
  static absl::StatusOr<std::unique_ptr<InProcessGroup>> Load(
      const ModelConfig& config,
      const std::function<absl::StatusOr<std::unique_ptr<Checkpoint>>()>&
          open_checkpoint,
      const InProcessGroupOptions& options);

  // The part of one rank; between steps.
  virtual const Model& rank_model(int rank) const = 0;
  virtual Communicator* communicator(int rank) const = 0;  // null if alone
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GROUP_IN_PROCESS_GROUP_H_
