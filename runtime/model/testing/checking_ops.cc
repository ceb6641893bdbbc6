#include "runtime/model/testing/checking_ops.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/api/shape_checks.h"

namespace blockserve {
namespace {

constexpr DType kType = DType::kFloat32;

class ShapeOnlyMatrix final : public Matrix {
 public:
  ShapeOnlyMatrix(int64_t out_dim, int64_t in_dim)
      : out_dim_(out_dim), in_dim_(in_dim) {}
  int64_t out_dim() const override { return out_dim_; }
  int64_t in_dim() const override { return in_dim_; }
  size_t num_bytes() const override { return 0; }

 private:
  const int64_t out_dim_;
  const int64_t in_dim_;
};

}  // namespace

absl::StatusOr<Buffer> CheckingOps::Allocate(size_t num_bytes) {
  return Buffer(std::calloc(num_bytes + 1, 1), num_bytes, &std::free);
}

void CheckingOps::CopyToDevice(const void* host, void* device,
                               size_t num_bytes) {
  ++counts_.copies;
  std::memcpy(device, host, num_bytes);
}

void CheckingOps::CopyToHost(const void* device, void* host, size_t num_bytes) {
  ++counts_.copies;
  std::memcpy(host, device, num_bytes);
}

absl::StatusOr<std::unique_ptr<Matrix>> CheckingOps::PackMatrix(
    const float*, int64_t out_dim, int64_t in_dim) {
  return std::make_unique<ShapeOnlyMatrix>(out_dim, in_dim);
}

void CheckingOps::Linear(const LinearArgs& args) {
  CheckLinear(args, kType);
  counts_.linear_rows += args.input.dim(0);
}

void CheckingOps::LayerNorm(const LayerNormArgs& args) {
  CheckLayerNorm(args, kType);
}

void CheckingOps::DualLayerNorm(const DualLayerNormArgs& args) {
  CheckDualLayerNorm(args, kType);
}

void CheckingOps::RmsNorm(const RmsNormArgs& args) {
  CheckRmsNorm(args, kType);
}

void CheckingOps::Embed(const EmbedArgs& args) { CheckEmbed(args, kType); }

void CheckingOps::Cast(const TensorView& input, const TensorView& output) {
  CheckCast(input, output, kType);
}

void CheckingOps::GatherRows(const TensorView& input, const TensorView& indices,
                             const TensorView& output) {
  CheckGatherRows(input, indices, output, kType);
}

void CheckingOps::CopyColumns(const TensorView& input, int64_t column_begin,
                              const TensorView& output) {
  CheckCopyColumns(input, column_begin, output, kType);
}

size_t CheckingOps::KvPageBytes(int num_heads, int head_dim) const {
  return size_t{2} * kPageLength * num_heads * head_dim * sizeof(float);
}

size_t CheckingOps::LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                                 int max_length) const {
  return 2 * rows * num_heads * head_dim * max_length * sizeof(float);
}

void CheckingOps::RotaryStoreKv(const RotaryStoreKvArgs& args) {
  CheckRotaryStoreKv(args, kType);
}

void CheckingOps::PagedAttention(const PagedAttentionArgs& args) {
  CheckPagedAttention(args, kType);
  counts_.attention_rows += args.qkv.dim(0);
}

void CheckingOps::LocalAttention(const LocalAttentionArgs& args) {
  CheckLocalAttention(args, kType);
  counts_.attention_rows += args.qkv.dim(0);
}

void CheckingOps::CrossAttention(const CrossAttentionArgs& args) {
  CheckCrossAttention(args, kType);
  counts_.attention_rows += args.query.dim(0);
}

void CheckingOps::SampleTokens(const TensorView& input, const Matrix& head,
                               const SampleArgs& args) {
  CheckSampleTokens(input, head, args, kType);
  counts_.sampled_rows += args.rows.size();
}

}  // namespace blockserve
