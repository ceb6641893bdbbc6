// T5's decoder: RMS norms, self attention with a bias by distance, cross
// attention over a memory (FORMAT.md 5.7).
#ifndef BLOCKSERVE_RUNTIME_MODEL_TRUNK_T5_TRUNK_H_
#define BLOCKSERVE_RUNTIME_MODEL_TRUNK_T5_TRUNK_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/norm.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

struct T5TrunkLimits {
  int max_rows = 0;       // sequences
  int max_length = 0;     // positions of a block
  int memory_length = 0;  // vectors of memory per sequence
};

struct T5Layer {
  RmsNormWeights attention_norm;
  RmsNormWeights cross_norm;
  RmsNormWeights ffn_norm;
  Dense qkv;  // rows [num_heads, 3, head_dim]
  Dense attention_output;
  Dense cross_query;
  Dense cross_key_value;  // rows [num_heads, 2, head_dim]
  Dense cross_output;
  Dense ffn_up;
  Dense ffn_down;
  Buffer memory;  // T [max_rows * memory_length, num_heads, 2, head_dim]
};

// Used with local attention only; all rows of a pass are outputs.
class T5Trunk final : public Trunk {
 public:
  // Tensors `prefix`block.0.layer.0.SelfAttention.q.weight and so on; `name` is
  // the prefix of what the observer is shown.
  static absl::StatusOr<std::unique_ptr<T5Trunk>> Load(
      const TrunkConfig& config, const std::string& prefix,
      const std::string& name, const T5TrunkLimits& limits,
      const TrunkContext& context, WeightLoader& loader,
      ScratchAllocator& scratch);

  // Computes keys and values that the following passes attend to.
  //   memory: T [rows * memory_length, hidden_dim]
  void SetMemory(const TensorView& memory);

  void Run(const TrunkPass& pass) const override;

 private:
  T5Trunk(const TrunkConfig& config, std::string name,
          const T5TrunkLimits& limits, const TrunkContext& context);

  void AddSelfAttention(int l, const TrunkPass& pass) const;
  void AddCrossAttention(const T5Layer& layer, const TensorView& x) const;
  void AddFfn(const T5Layer& layer, const TensorView& x) const;

  const TrunkConfig config_;
  const std::string name_;
  const T5TrunkLimits limits_;
  const TrunkContext context_;
  std::vector<T5Layer> layers_;
  RmsNormWeights final_norm_;
  Buffer bias_;              // float [num_heads, max_length, max_length]
  int64_t memory_rows_ = 0;  // sequences of the memory that is set
};

// The bucket of a key `distance` >= 0 positions back.
int RelativeAttentionBucket(int distance, int num_buckets, int max_distance);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TRUNK_T5_TRUNK_H_
