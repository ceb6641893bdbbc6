// GPT-NeoX and GPT-Neo: layer norm, attention and a two-layer FFN, added to a
// residual stream one after the other or in parallel (FORMAT.md 5.1, 5.2).
//
// In a group of ranks the layers are tensor-parallel: a rank has some heads and
// some of the FFN's columns, and an all-reduce makes the residual stream whole
// again: one a layer with a parallel residual, two with a sequential one. Rank
// 0's share of that sum is the stream itself and what it adds, the other ranks'
// shares begin at zero, in the same buffer.
#ifndef BLOCKSERVE_RUNTIME_MODEL_TRUNK_PRE_NORM_TRUNK_H_
#define BLOCKSERVE_RUNTIME_MODEL_TRUNK_PRE_NORM_TRUNK_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "parallel/api/rank_group.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/norm.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

// Of a rank without heads, qkv and attention_output are empty.
struct PreNormLayer {
  LayerNormWeights attention_norm;
  LayerNormWeights ffn_norm;
  Dense qkv;  // rows [num_heads, 3, head_dim]
  Dense attention_output;
  Dense ffn_up;
  Dense ffn_down;
  int window = 0;  // 0: all earlier positions are seen
};

struct PreNormWeights {
  int num_heads = 0;  // of this rank
  int head_dim = 0;
  float scale = 1.0f;  // of attention scores
  Activation activation = Activation::kGelu;
  bool parallel_residual = false;
  std::optional<EmbeddingTable> positions;
  std::vector<PreNormLayer> layers;
  LayerNormWeights final_norm;
};

// Tensors `prefix`layers.0.attention.query_key_value.weight and so on.
absl::StatusOr<PreNormWeights> LoadGptNeoXWeights(const TrunkConfig& config,
                                                  const std::string& prefix,
                                                  const RankGroup& group,
                                                  WeightLoader& loader);
// Tensors `prefix`h.0.attn.attention.q_proj.weight and so on.
absl::StatusOr<PreNormWeights> LoadGptNeoWeights(const TrunkConfig& config,
                                                 const std::string& prefix,
                                                 const RankGroup& group,
                                                 WeightLoader& loader);

class PreNormTrunk final : public Trunk {
 public:
  // `name` is the prefix of what the observer is shown. `zeros`, float and as
  // large as the residual stream, is read by a rank without heads. `group` must
  // outlive the trunk.
  PreNormTrunk(PreNormWeights weights, std::string name,
               const TrunkContext& context, const RankGroup& group,
               Buffer zeros);

  void Run(const TrunkPass& pass) const override;

 private:
  // Returns the residual stream behind layer `l`: `x`, or if only outputs go
  // on, a copy of their rows.
  TensorView RunLayer(int l, const TensorView& x, const TrunkPass& pass) const;
  // The rows of `x` that go on, before the layer has added to them.
  TensorView ContinuingRows(const TensorView& x, const TrunkPass& pass,
                            bool outputs_only) const;
  void AddAttention(const PreNormLayer& layer, const TensorView& attended,
                    const TensorView& y) const;
  void AddFfn(const PreNormLayer& layer, const TensorView& normed_ffn,
              const TensorView& y, bool begins_share) const;
  // Begins this rank's share of a sum over the group, or adds to it.
  void AddShare(const Dense& dense, const TensorView& input,
                const TensorView& y, bool begins_share) const;
  // Makes `y` whole behind the last layer, on this rank for its own rows alone
  // if `deals`. Returns the rows that are whole.
  TensorView SumShares(const TensorView& y, bool deals) const;

  const PreNormWeights weights_;
  const std::string name_;
  const TrunkContext context_;
  const RankGroup& group_;
  const Buffer zeros_;
};

// A GPT-NeoX or GPT-Neo trunk as `config.kind` says, of the tensors under
// `prefix` ("block_decoder."). UNIMPLEMENTED for another kind.
absl::StatusOr<std::unique_ptr<Trunk>> LoadPreNormTrunk(
    const TrunkConfig& config, const std::string& prefix,
    const TrunkContext& context, WeightLoader& loader);
// This rank's part of it, for passes of up to `max_rows`. INVALID_ARGUMENT if
// the FFN has fewer columns than the group has ranks.
absl::StatusOr<std::unique_ptr<Trunk>> LoadShardedPreNormTrunk(
    const TrunkConfig& config, const std::string& prefix,
    const TrunkContext& context, const RankGroup& group, int64_t max_rows,
    WeightLoader& loader, ScratchAllocator& scratch);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TRUNK_PRE_NORM_TRUNK_H_
