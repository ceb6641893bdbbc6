// An Ops that hands everything on to another: the base of what looks at calls.
#ifndef BLOCKSERVE_KERNELS_PROFILE_FORWARDING_OPS_H_
#define BLOCKSERVE_KERNELS_PROFILE_FORWARDING_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/api/ops.h"

namespace blockserve {

class ForwardingOps : public Ops {
 public:
  // `ops` must outlive this.
  explicit ForwardingOps(Ops& ops) : ops_(ops) {}

  std::string_view name() const override { return ops_.name(); }
  std::string Describe() const override { return ops_.Describe(); }
  DType dtype() const override { return ops_.dtype(); }
  absl::StatusOr<Buffer> Allocate(size_t num_bytes) override {
    return ops_.Allocate(num_bytes);
  }
  void CopyToDevice(const void* host, void* device, size_t num_bytes) override {
    ops_.CopyToDevice(host, device, num_bytes);
  }
  void CopyToHost(const void* device, void* host, size_t num_bytes) override {
    ops_.CopyToHost(device, host, num_bytes);
  }
  absl::Status Reserve(const OpsLimits& limits) override {
    return ops_.Reserve(limits);
  }
  int64_t PaddedRows(int64_t rows) const override {
    return ops_.PaddedRows(rows);
  }
  absl::Status Synchronize() override { return ops_.Synchronize(); }
  std::optional<int64_t> FreeDeviceBytes() override {
    return ops_.FreeDeviceBytes();
  }
  void* native_stream() const override { return ops_.native_stream(); }
  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(const float* weight,
                                                     int64_t out_dim,
                                                     int64_t in_dim) override {
    return ops_.PackMatrix(weight, out_dim, in_dim);
  }
  void Linear(const LinearArgs& args) override { ops_.Linear(args); }
  void LayerNorm(const LayerNormArgs& args) override { ops_.LayerNorm(args); }
  void DualLayerNorm(const DualLayerNormArgs& args) override {
    ops_.DualLayerNorm(args);
  }
  void RmsNorm(const RmsNormArgs& args) override { ops_.RmsNorm(args); }
  void Embed(const EmbedArgs& args) override { ops_.Embed(args); }
  void Cast(const TensorView& input, const TensorView& output) override {
    ops_.Cast(input, output);
  }
  void GatherRows(const TensorView& input, const TensorView& indices,
                  const TensorView& output) override {
    ops_.GatherRows(input, indices, output);
  }
  void CopyColumns(const TensorView& input, int64_t column_begin,
                   const TensorView& output) override {
    ops_.CopyColumns(input, column_begin, output);
  }
  size_t KvPageBytes(int num_heads, int head_dim) const override {
    return ops_.KvPageBytes(num_heads, head_dim);
  }
  size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                      int max_length) const override {
    return ops_.LocalKvBytes(rows, num_heads, head_dim, max_length);
  }
  void RotaryStoreKv(const RotaryStoreKvArgs& args) override {
    ops_.RotaryStoreKv(args);
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    ops_.PagedAttention(args);
  }
  void LocalAttention(const LocalAttentionArgs& args) override {
    ops_.LocalAttention(args);
  }
  void CrossAttention(const CrossAttentionArgs& args) override {
    ops_.CrossAttention(args);
  }
  void SampleTokens(const TensorView& input, const Matrix& head,
                    const SampleArgs& args) override {
    ops_.SampleTokens(input, head, args);
  }
  void SetSampleRows(absl::Span<const SampleRow> rows) override {
    ops_.SetSampleRows(rows);
  }
  // Replay is a call: what looks at calls wants to see them.
  void ForgetReplays() override { ops_.ForgetReplays(); }

 protected:
  Ops& ops() const { return ops_; }

 private:
  Ops& ops_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_PROFILE_FORWARDING_OPS_H_
