// Puts tensors of a checkpoint into the form that layers compute with.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_WEIGHT_LOADER_H_
#define BLOCKSERVE_RUNTIME_LAYERS_WEIGHT_LOADER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/ops.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/norm.h"
#include "runtime/weights/checkpoint.h"

namespace blockserve {

// What one part of a model takes.
struct LoadedPart {
  std::string name;
  int64_t num_parameters = 0;  // tied ones once
  int64_t num_bytes = 0;       // as held in memory
};

// How a matrix is read.
struct MatrixOptions {
  float scale = 1.0f;  // folded into the weights
  bool tied = false;   // its parameters are counted elsewhere already
};

// Reads, converts, packs and counts weights. Errors are those of Checkpoint
// (they name the tensor) and of Ops. Borrows both for its lifetime; used by one
// thread while loading.
class WeightLoader {
 public:
  WeightLoader(Checkpoint& checkpoint, Ops& ops);

  Ops& ops() const { return ops_; }
  Checkpoint& checkpoint() const { return checkpoint_; }

  // What is loaded from now on counts for the part `name`.
  void BeginPart(const std::string& name);
  const std::vector<LoadedPart>& parts() const { return parts_; }

  absl::StatusOr<std::unique_ptr<Matrix>> LoadMatrix(
      const std::string& name, int64_t out_dim, int64_t in_dim,
      const MatrixOptions& options = {});
  // `prefix`.weight [out_dim, in_dim] and `prefix`.bias [out_dim].
  absl::StatusOr<Dense> LoadDense(const std::string& prefix, int64_t out_dim,
                                  int64_t in_dim);
  absl::StatusOr<Dense> LoadDenseWithoutBias(const std::string& prefix,
                                             int64_t out_dim, int64_t in_dim);
  // One rank's part of a LoadDense, nothing else of the matrix being read: the
  // outputs `rows`, or what the inputs `columns` give to all outputs. The bias
  // of the latter is added once in a group: by the rank that `has_bias`.
  absl::StatusOr<Dense> LoadColumnParallel(const std::string& prefix,
                                           int64_t out_dim, int64_t in_dim,
                                           Range rows);
  absl::StatusOr<Dense> LoadRowParallel(const std::string& prefix,
                                        int64_t out_dim, int64_t in_dim,
                                        Range columns, bool has_bias);
  // What other ranks load and this one has no part of.
  void MarkDenseUnused(const std::string& prefix);
  // Projections stored one by one (`prefixes`, each [num_heads * head_dim,
  // in_dim]) as one whose rows are [num_heads, prefixes.size(), head_dim]: the
  // layout that attention reads (kernels/api/attention_args.h). Nothing but
  // `heads` is kept, and of the weights read.
  absl::StatusOr<Dense> LoadInterleavedHeads(
      absl::Span<const std::string> prefixes, bool has_bias, int64_t num_heads,
      int64_t head_dim, int64_t in_dim, Range heads);
  absl::StatusOr<Dense> LoadInterleavedHeads(
      absl::Span<const std::string> prefixes, bool has_bias, int64_t num_heads,
      int64_t head_dim, int64_t in_dim) {
    return LoadInterleavedHeads(prefixes, has_bias, num_heads, head_dim, in_dim,
                                {0, num_heads});
  }
  // For the caller to rearrange; what is packed from it must not be counted
  // again (MatrixOptions::tied).
  absl::StatusOr<std::vector<float>> LoadOnHost(
      const std::string& name, absl::Span<const int64_t> shape);
  // Packs weights made by the caller from what it read. [out_dim, in_dim]
  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(
      absl::Span<const float> weight, int64_t out_dim, int64_t in_dim,
      const MatrixOptions& options = {});

  absl::StatusOr<Buffer> LoadVector(const std::string& name, int64_t dim);
  absl::StatusOr<EmbeddingTable> LoadTable(const std::string& name,
                                           int64_t num_rows, int64_t dim);
  // `prefix`.weight and `prefix`.bias.
  absl::StatusOr<LayerNormWeights> LoadLayerNorm(const std::string& prefix,
                                                 int64_t dim, float eps);
  // `prefix`.weight.
  absl::StatusOr<RmsNormWeights> LoadRmsNorm(const std::string& prefix,
                                             int64_t dim, float eps);

  // The first of `names` that the checkpoint holds, or the first one: of tied
  // tensors any may be stored.
  std::string FirstStored(absl::Span<const std::string> names) const;

 private:
  // DATA_LOSS unless the tensor has that many elements: asked before memory is
  // taken for them, since the number comes from a file.
  absl::Status ExpectElements(const std::string& name, int64_t count) const;
  absl::StatusOr<Buffer> UploadVector(absl::Span<const float> values);
  void Count(int64_t num_parameters, size_t num_bytes);

  Checkpoint& checkpoint_;
  Ops& ops_;
  std::vector<LoadedPart> parts_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_WEIGHT_LOADER_H_
