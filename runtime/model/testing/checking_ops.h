// A backend that checks what it is asked and computes nothing.
#ifndef BLOCKSERVE_RUNTIME_MODEL_TESTING_CHECKING_OPS_H_
#define BLOCKSERVE_RUNTIME_MODEL_TESTING_CHECKING_OPS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/api/ops.h"

namespace blockserve {

// Ends the process at a wrong shape; tensors keep what they hold. Its
// operations take no memory, so that a test can count what a model takes.
class CheckingOps final : public Ops {
 public:
  // What was asked since the last Reset.
  struct Counts {
    int64_t linear_rows = 0;     // rows over all Linear calls
    int64_t attention_rows = 0;  // queries over all attentions
    int64_t sampled_rows = 0;
    int64_t copies = 0;  // between host and device
  };

  const Counts& counts() const { return counts_; }
  void Reset() { counts_ = Counts(); }

  std::string_view name() const override { return "checking"; }
  std::string Describe() const override { return "checking"; }
  DType dtype() const override { return DType::kFloat32; }
  absl::StatusOr<Buffer> Allocate(size_t num_bytes) override;
  void CopyToDevice(const void* host, void* device, size_t num_bytes) override;
  void CopyToHost(const void* device, void* host, size_t num_bytes) override;
  absl::Status Reserve(const OpsLimits&) override { return absl::OkStatus(); }
  int64_t PaddedRows(int64_t rows) const override { return rows; }
  absl::Status Synchronize() override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(const float* weight,
                                                     int64_t out_dim,
                                                     int64_t in_dim) override;
  void Linear(const LinearArgs& args) override;
  void LayerNorm(const LayerNormArgs& args) override;
  void DualLayerNorm(const DualLayerNormArgs& args) override;
  void RmsNorm(const RmsNormArgs& args) override;
  void Embed(const EmbedArgs& args) override;
  void Cast(const TensorView& input, const TensorView& output) override;
  void GatherRows(const TensorView& input, const TensorView& indices,
                  const TensorView& output) override;
  void CopyColumns(const TensorView& input, int64_t column_begin,
                   const TensorView& output) override;
  size_t KvPageBytes(int num_heads, int head_dim) const override;
  size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                      int max_length) const override;
  void RotaryStoreKv(const RotaryStoreKvArgs& args) override;
  void PagedAttention(const PagedAttentionArgs& args) override;
  void LocalAttention(const LocalAttentionArgs& args) override;
  void CrossAttention(const CrossAttentionArgs& args) override;
  void SampleTokens(const TensorView& input, const Matrix& head,
                    const SampleArgs& args) override;

 private:
  Counts counts_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TESTING_CHECKING_OPS_H_
