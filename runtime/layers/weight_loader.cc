#include "runtime/layers/weight_loader.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Rows of an embedding table that are converted at a time: bounds the copy in
// fp32 without one read per row.
constexpr int64_t kTableRowsPerRead = 4096;

}  // namespace

WeightLoader::WeightLoader(Checkpoint& checkpoint, Ops& ops)
    : checkpoint_(checkpoint), ops_(ops) {
  BeginPart("model");
}

void WeightLoader::BeginPart(const std::string& name) {
  if (!parts_.empty() && parts_.back().num_bytes == 0) parts_.pop_back();
  LoadedPart part;
  part.name = name;
  parts_.push_back(std::move(part));
}

void WeightLoader::Count(int64_t num_parameters, size_t num_bytes) {
  parts_.back().num_parameters += num_parameters;
  parts_.back().num_bytes += static_cast<int64_t>(num_bytes);
}

absl::Status WeightLoader::ExpectElements(const std::string& name,
                                          int64_t count) const {
  ASSIGN_OR_RETURN(const TensorInfo info, checkpoint_.Info(name));
  int64_t stored = 1;
  for (int64_t extent : info.shape) stored *= extent;
  if (stored == count) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "tensor ", name, ": expected ", count,
      " elements for this configuration,"
      " got ",
      stored, " of shape [", absl::StrJoin(info.shape, ", "), "]"));
}

absl::StatusOr<std::unique_ptr<Matrix>> WeightLoader::LoadMatrix(
    const std::string& name, int64_t out_dim, int64_t in_dim,
    const MatrixOptions& options) {
  RETURN_IF_ERROR(ExpectElements(name, out_dim * in_dim));
  std::vector<float> weight(static_cast<size_t>(out_dim * in_dim));
  RETURN_IF_ERROR(checkpoint_.ReadSlice(name, out_dim, in_dim, {0, out_dim},
                                        {0, in_dim}, absl::MakeSpan(weight)));
  for (float& value : weight) value *= options.scale;
  return PackMatrix(weight, out_dim, in_dim, options);
}

absl::StatusOr<std::unique_ptr<Matrix>> WeightLoader::PackMatrix(
    absl::Span<const float> weight, int64_t out_dim, int64_t in_dim,
    const MatrixOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Matrix> matrix,
                   ops_.PackMatrix(weight.data(), out_dim, in_dim));
  // The backend may still be reading `weight`.
  RETURN_IF_ERROR(ops_.Synchronize());
  Count(options.tied ? 0 : out_dim * in_dim, matrix->num_bytes());
  return matrix;
}

absl::StatusOr<Dense> WeightLoader::LoadDense(const std::string& prefix,
                                              int64_t out_dim, int64_t in_dim) {
  ASSIGN_OR_RETURN(Dense dense, LoadDenseWithoutBias(prefix, out_dim, in_dim));
  ASSIGN_OR_RETURN(dense.bias,
                   LoadVector(absl::StrCat(prefix, ".bias"), out_dim));
  return dense;
}

absl::StatusOr<Dense> WeightLoader::LoadDenseWithoutBias(
    const std::string& prefix, int64_t out_dim, int64_t in_dim) {
  Dense dense;
  ASSIGN_OR_RETURN(dense.weight, LoadMatrix(absl::StrCat(prefix, ".weight"),
                                            out_dim, in_dim));
  return dense;
}

absl::StatusOr<Dense> WeightLoader::LoadColumnParallel(
    const std::string& prefix, int64_t out_dim, int64_t in_dim, Range rows) {
  const std::string name = absl::StrCat(prefix, ".weight");
  const std::string bias_name = absl::StrCat(prefix, ".bias");
  RETURN_IF_ERROR(ExpectElements(name, out_dim * in_dim));
  RETURN_IF_ERROR(ExpectElements(bias_name, out_dim));
  std::vector<float> weight(static_cast<size_t>(rows.size() * in_dim));
  RETURN_IF_ERROR(checkpoint_.ReadSlice(name, out_dim, in_dim, rows,
                                        {0, in_dim}, absl::MakeSpan(weight)));
  std::vector<float> bias(static_cast<size_t>(out_dim));
  RETURN_IF_ERROR(checkpoint_.Read(bias_name, {out_dim}, absl::MakeSpan(bias)));
  Dense dense;
  ASSIGN_OR_RETURN(dense.weight, PackMatrix(weight, rows.size(), in_dim));
  ASSIGN_OR_RETURN(dense.bias, UploadVector(absl::MakeConstSpan(bias).subspan(
                                   rows.begin, rows.size())));
  return dense;
}

absl::StatusOr<Dense> WeightLoader::LoadRowParallel(const std::string& prefix,
                                                    int64_t out_dim,
                                                    int64_t in_dim,
                                                    Range columns,
                                                    bool has_bias) {
  const std::string name = absl::StrCat(prefix, ".weight");
  const std::string bias_name = absl::StrCat(prefix, ".bias");
  RETURN_IF_ERROR(ExpectElements(name, out_dim * in_dim));
  std::vector<float> weight(static_cast<size_t>(out_dim * columns.size()));
  RETURN_IF_ERROR(checkpoint_.ReadSlice(name, out_dim, in_dim, {0, out_dim},
                                        columns, absl::MakeSpan(weight)));
  Dense dense;
  ASSIGN_OR_RETURN(dense.weight, PackMatrix(weight, out_dim, columns.size()));
  if (has_bias) {
    ASSIGN_OR_RETURN(dense.bias, LoadVector(bias_name, out_dim));
  } else {
    RETURN_IF_ERROR(ExpectElements(bias_name, out_dim));
    checkpoint_.MarkUnused(bias_name);
  }
  return dense;
}

void WeightLoader::MarkDenseUnused(const std::string& prefix) {
  checkpoint_.MarkUnused(absl::StrCat(prefix, ".weight"));
  checkpoint_.MarkUnused(absl::StrCat(prefix, ".bias"));
}

absl::StatusOr<Dense> WeightLoader::LoadInterleavedHeads(
    absl::Span<const std::string> prefixes, bool has_bias, int64_t num_heads,
    int64_t head_dim, int64_t in_dim, Range heads) {
  const int64_t num_parts = static_cast<int64_t>(prefixes.size());
  const int64_t part_dim = num_heads * head_dim;
  const int64_t out_dim = num_parts * heads.size() * head_dim;
  RETURN_IF_ERROR(ExpectElements(absl::StrCat(prefixes.front(), ".weight"),
                                 part_dim * in_dim));
  std::vector<float> weight(static_cast<size_t>(out_dim * in_dim));
  std::vector<float> bias(static_cast<size_t>(has_bias ? out_dim : 0));
  std::vector<float> part_bias(static_cast<size_t>(has_bias ? part_dim : 0));
  for (int64_t part = 0; part < num_parts; ++part) {
    if (has_bias) {
      RETURN_IF_ERROR(checkpoint_.Read(absl::StrCat(prefixes[part], ".bias"),
                                       {part_dim}, absl::MakeSpan(part_bias)));
    }
    const std::string name = absl::StrCat(prefixes[part], ".weight");
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      const int64_t row = ((head - heads.begin) * num_parts + part) * head_dim;
      const Range rows{head * head_dim, (head + 1) * head_dim};
      RETURN_IF_ERROR(checkpoint_.ReadSlice(
          name, part_dim, in_dim, rows, {0, in_dim},
          absl::MakeSpan(weight).subspan(row * in_dim, head_dim * in_dim)));
      if (has_bias) {
        std::copy_n(part_bias.begin() + rows.begin, head_dim,
                    bias.begin() + row);
      }
    }
  }
  Dense dense;
  ASSIGN_OR_RETURN(dense.weight, PackMatrix(weight, out_dim, in_dim));
  if (has_bias) {
    ASSIGN_OR_RETURN(dense.bias, UploadVector(bias));
  }
  return dense;
}

absl::StatusOr<std::vector<float>> WeightLoader::LoadOnHost(
    const std::string& name, absl::Span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  RETURN_IF_ERROR(ExpectElements(name, count));
  std::vector<float> values(static_cast<size_t>(count));
  RETURN_IF_ERROR(checkpoint_.Read(name, shape, absl::MakeSpan(values)));
  Count(count, 0);
  return values;
}

absl::StatusOr<Buffer> WeightLoader::LoadVector(const std::string& name,
                                                int64_t dim) {
  RETURN_IF_ERROR(ExpectElements(name, dim));
  std::vector<float> values(static_cast<size_t>(dim));
  RETURN_IF_ERROR(checkpoint_.Read(name, {dim}, absl::MakeSpan(values)));
  return UploadVector(values);
}

absl::StatusOr<Buffer> WeightLoader::UploadVector(
    absl::Span<const float> values) {
  const size_t num_bytes = values.size() * sizeof(float);
  ASSIGN_OR_RETURN(Buffer buffer, ops_.Allocate(num_bytes));
  ops_.CopyToDevice(values.data(), buffer.data(), num_bytes);
  RETURN_IF_ERROR(ops_.Synchronize());
  Count(static_cast<int64_t>(values.size()), buffer.num_bytes());
  return buffer;
}

absl::StatusOr<EmbeddingTable> WeightLoader::LoadTable(const std::string& name,
                                                       int64_t num_rows,
                                                       int64_t dim) {
  RETURN_IF_ERROR(ExpectElements(name, num_rows * dim));
  const DType dtype = ops_.dtype();
  EmbeddingTable table;
  table.num_rows = num_rows;
  table.dim = dim;
  ASSIGN_OR_RETURN(
      table.data,
      ops_.Allocate(static_cast<size_t>(num_rows * dim) * SizeOf(dtype)));
  const TensorView view = table.data.View(dtype, {num_rows, dim});

  const int64_t chunk_rows = std::min(num_rows, kTableRowsPerRead);
  std::vector<float> values(static_cast<size_t>(chunk_rows * dim));
  std::vector<BFloat16> rounded(dtype == DType::kBFloat16 ? values.size() : 0);
  for (int64_t begin = 0; begin < num_rows; begin += chunk_rows) {
    const Range rows{begin, std::min(num_rows, begin + chunk_rows)};
    const absl::Span<float> chunk =
        absl::MakeSpan(values).first(rows.size() * dim);
    RETURN_IF_ERROR(
        checkpoint_.ReadSlice(name, num_rows, dim, rows, {0, dim}, chunk));
    const TensorView target = view.Rows(rows.begin, rows.end);
    if (dtype == DType::kBFloat16) {
      std::transform(chunk.begin(), chunk.end(), rounded.begin(), ToBFloat16);
      ops_.CopyToDevice(rounded.data(), target.data(), target.num_bytes());
    } else {
      ops_.CopyToDevice(chunk.data(), target.data(), target.num_bytes());
    }
    RETURN_IF_ERROR(ops_.Synchronize());
  }
  Count(num_rows * dim, table.data.num_bytes());
  return table;
}

absl::StatusOr<LayerNormWeights> WeightLoader::LoadLayerNorm(
    const std::string& prefix, int64_t dim, float eps) {
  LayerNormWeights norm;
  norm.dim = dim;
  norm.eps = eps;
  ASSIGN_OR_RETURN(norm.gamma,
                   LoadVector(absl::StrCat(prefix, ".weight"), dim));
  ASSIGN_OR_RETURN(norm.beta, LoadVector(absl::StrCat(prefix, ".bias"), dim));
  return norm;
}

absl::StatusOr<RmsNormWeights> WeightLoader::LoadRmsNorm(
    const std::string& prefix, int64_t dim, float eps) {
  RmsNormWeights norm;
  norm.dim = dim;
  norm.eps = eps;
  ASSIGN_OR_RETURN(norm.gamma,
                   LoadVector(absl::StrCat(prefix, ".weight"), dim));
  return norm;
}

std::string WeightLoader::FirstStored(
    absl::Span<const std::string> names) const {
  for (const std::string& name : names) {
    if (checkpoint_.Has(name)) return name;
  }
  return names.front();
}

}  // namespace blockserve
