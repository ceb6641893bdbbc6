// A rank's model as its group runs it: the leader's side and the others'.
#ifndef BLOCKSERVE_RUNTIME_GROUP_GROUP_MODEL_H_
#define BLOCKSERVE_RUNTIME_GROUP_GROUP_MODEL_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/group/group_rank.h"
#include "runtime/model/model.h"

namespace blockserve {

// The leader's, or that of a rank alone: what an engine steps. Sends each
// step's input to the ranks, which run it beside this one. UNAVAILABLE once the
// epoch is broken, whoever's fault it was; INTERNAL if it is this rank's
// device; the epoch is given up then.
class GroupModel final : public Model {
 public:
  // Both outlive this; `rank` is null for a rank alone. `on_step` is told of
  // each step of a group, on the stepping thread.
  GroupModel(Model& own, GroupRank* rank,
             std::function<void(const StepTimes&)> on_step = nullptr);

  const ModelConfig& config() const override { return own_.config(); }
  const ModelLimits& limits() const override { return own_.limits(); }
  absl::StatusOr<StepOutput> Step(const StepInput& input) override;
  std::vector<PartSize> parts() const override { return own_.parts(); }
  size_t kv_bytes_per_page() const override { return own_.kv_bytes_per_page(); }
  size_t scratch_bytes() const override { return own_.scratch_bytes(); }

 private:
  absl::StatusOr<StepOutput> StepGroup(const StepInput& input, GroupRank& rank);

  Model& own_;
  GroupRank* const rank_;
  const std::function<void(const StepTimes&)> on_step_;
  std::vector<uint8_t> frame_;
};

// The others': runs what the leader plans until the epoch ends; returns why.
// INTERNAL if this rank's device failed: the process is of no more use then.
absl::Status RunPlans(Model& model, GroupRank& rank,
                      const std::function<void(const StepTimes&)>& on_step);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GROUP_GROUP_MODEL_H_
