#include "runtime/model/block_transformer/embedder/projection_layer.h"

#include <vector>

#include "runtime/base/status_macros.h"

namespace blockserve {

absl::StatusOr<Dense> LoadProjectionLayer(int64_t out_dim, int64_t vector_dim,
                                          int64_t num_vectors,
                                          WeightLoader& loader) {
  ASSIGN_OR_RETURN(const std::vector<float> stored,
                   loader.LoadOnHost("embedder.projection_layer.weight",
                                     {out_dim, vector_dim, num_vectors}));
  const int64_t in_dim = num_vectors * vector_dim;
  std::vector<float> weight(stored.size());
  for (int64_t out = 0; out < out_dim; ++out) {
    for (int64_t i = 0; i < vector_dim; ++i) {
      for (int64_t k = 0; k < num_vectors; ++k) {
        weight[out * in_dim + k * vector_dim + i] =
            stored[(out * vector_dim + i) * num_vectors + k];
      }
    }
  }
  Dense dense;
  ASSIGN_OR_RETURN(dense.weight,
                   loader.PackMatrix(weight, out_dim, in_dim, {.tied = true}));
  ASSIGN_OR_RETURN(
      dense.bias, loader.LoadVector("embedder.projection_layer.bias", out_dim));
  return dense;
}

}  // namespace blockserve
