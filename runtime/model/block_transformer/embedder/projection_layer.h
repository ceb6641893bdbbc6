// Makes one vector of a block from the vectors of its tokens: a convolution as
// wide as the block, which is a matrix.
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_PROJECTION_LAYER_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_PROJECTION_LAYER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/weight_loader.h"

namespace blockserve {

// Reads embedder.projection_layer.weight [out_dim, vector_dim, num_vectors]
// into a matrix [out_dim, num_vectors * vector_dim], so that its input is the
// vectors one after the other.
absl::StatusOr<Dense> LoadProjectionLayer(int64_t out_dim, int64_t vector_dim,
                                          int64_t num_vectors,
                                          WeightLoader& loader);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_PROJECTION_LAYER_H_
