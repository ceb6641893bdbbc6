#include "kernels/reference/reference_ops.h"

#include <glog/logging.h>

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/api/shape_checks.h"
#include "kernels/reference/embedding.h"
#include "kernels/reference/linear.h"
#include "kernels/reference/local_attention.h"
#include "kernels/reference/matrix.h"
#include "kernels/reference/norm.h"
#include "kernels/reference/paged_attention.h"
#include "kernels/reference/sampling.h"

namespace blockserve {
namespace {

// Alignment of buffers, and the slack behind them: a vector load that begins
// at the last element still reads memory of the buffer.
constexpr size_t kAlignment = 64;

// Every call is done when it returns.
template <typename T>
class ReferenceOps : public Ops {
 public:
  std::string_view name() const override { return "reference"; }
  std::string Describe() const override {
    return absl::StrCat("reference, ", std::string(NameOf(dtype())),
                        ", scalar, one thread");
  }
  DType dtype() const override { return DTypeOf<T>(); }

  absl::StatusOr<Buffer> Allocate(size_t num_bytes) override;
  void CopyToDevice(const void* host, void* device, size_t num_bytes) override {
    if (num_bytes > 0) std::memcpy(device, host, num_bytes);
  }
  void CopyToHost(const void* device, void* host, size_t num_bytes) override {
    if (num_bytes > 0) std::memcpy(host, device, num_bytes);
  }
  absl::Status Reserve(const OpsLimits& limits) override {
    sampler_.Reserve(limits.vocab_size);
    return absl::OkStatus();
  }
  int64_t PaddedRows(int64_t rows) const override { return rows; }
  absl::Status Synchronize() override { return absl::OkStatus(); }

  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(const float* weight,
                                                     int64_t out_dim,
                                                     int64_t in_dim) override {
    return std::make_unique<reference::ReferenceMatrix<T>>(weight, out_dim,
                                                           in_dim);
  }

  void Linear(const LinearArgs& args) override {
    CheckLinear(args, dtype());
    reference::Linear<T>(args);
  }
  void LayerNorm(const LayerNormArgs& args) override {
    CheckLayerNorm(args, dtype());
    reference::LayerNorm(args);
  }
  void DualLayerNorm(const DualLayerNormArgs& args) override {
    CheckDualLayerNorm(args, dtype());
    reference::DualLayerNorm(args);
  }
  void RmsNorm(const RmsNormArgs& args) override {
    CheckRmsNorm(args, dtype());
    reference::RmsNorm(args);
  }
  void Embed(const EmbedArgs& args) override {
    CheckEmbed(args, dtype());
    reference::Embed(args);
  }
  void Cast(const TensorView& input, const TensorView& output) override {
    CheckCast(input, output, dtype());
    reference::Cast(input, output);
  }
  void GatherRows(const TensorView& input, const TensorView& indices,
                  const TensorView& output) override {
    CheckGatherRows(input, indices, output, dtype());
    reference::GatherRows(input, indices, output);
  }
  void CopyColumns(const TensorView& input, int64_t column_begin,
                   const TensorView& output) override {
    CheckCopyColumns(input, column_begin, output, dtype());
    reference::CopyColumns(input, column_begin, output);
  }

  size_t KvPageBytes(int num_heads, int head_dim) const override {
    return LocalKvBytes(1, num_heads, head_dim, kPageLength);
  }
  size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                      int max_length) const override {
    return static_cast<size_t>(rows) * 2 * num_heads * max_length * head_dim *
           sizeof(T);
  }
  void RotaryStoreKv(const RotaryStoreKvArgs& args) override {
    CheckRotaryStoreKv(args, dtype());
    reference::RotaryStoreKv<T>(args);
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    CheckPagedAttention(args, dtype());
    reference::PagedAttention<T>(args);
  }
  void LocalAttention(const LocalAttentionArgs& args) override {
    CheckLocalAttention(args, dtype());
    reference::LocalAttention<T>(args);
  }
  void CrossAttention(const CrossAttentionArgs& args) override {
    CheckCrossAttention(args, dtype());
    reference::CrossAttention<T>(args);
  }

  void SampleTokens(const TensorView& input, const Matrix& head,
                    const SampleArgs& args) override;

 private:
  reference::Sampler sampler_;
};

template <typename T>
absl::StatusOr<Buffer> ReferenceOps<T>::Allocate(size_t num_bytes) {
  // Up to a multiple of the alignment, as aligned_alloc asks, and one more.
  const size_t room = (num_bytes / kAlignment + 2) * kAlignment;
  void* data =
      room < num_bytes ? nullptr : std::aligned_alloc(kAlignment, room);
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", num_bytes, " bytes of memory"));
  }
  std::memset(data, 0, room);
  return Buffer(data, num_bytes, std::free);
}

template <typename T>
void ReferenceOps<T>::SampleTokens(const TensorView& input, const Matrix& head,
                                   const SampleArgs& args) {
  CheckSampleTokens(input, head, args, dtype());
  const auto& matrix = static_cast<const reference::ReferenceMatrix<T>&>(head);
  const int64_t dim = matrix.in_dim();
  const int64_t vocab_size = matrix.out_dim();
  for (size_t row = 0; row < args.rows.size(); ++row) {
    absl::Span<float> logits = sampler_.logits(vocab_size);
    for (int64_t id = 0; id < vocab_size; ++id) {
      reference::Store(
          reference::Dot(input.as<T>() + row * dim, matrix.row(id), dim),
          &logits[id]);
    }
    if (!args.logits.empty()) {
      std::memcpy(args.logits.as<float>() + row * vocab_size, logits.data(),
                  vocab_size * sizeof(float));
    }
    sampler_.PickAndReport(args, row);
  }
}

}  // namespace

std::unique_ptr<Ops> CreateReferenceOps(DType dtype) {
  if (dtype == DType::kFloat32) return std::make_unique<ReferenceOps<float>>();
  CHECK(dtype == DType::kBFloat16) << NameOf(dtype);
  return std::make_unique<ReferenceOps<BFloat16>>();
}

}  // namespace blockserve
