#include "kernels/profile/timed_ops.h"

#include <utility>

namespace blockserve {

TimedOps::TimedOps(std::unique_ptr<Ops> ops, std::function<absl::Time()> clock)
    : ForwardingOps(*ops), owned_(std::move(ops)), clock_(std::move(clock)) {}

template <typename Call>
void TimedOps::Time(OpKind kind, const Call& call) {
  const absl::Time begin = clock_();
  call();
  // A failure stays with the device: the end of the step sees it.
  ops().Synchronize().IgnoreError();
  OpTime& time = times_[part_][static_cast<int>(kind)];
  time.time += clock_() - begin;
  ++time.num_calls;
}

void TimedOps::CopyToDevice(const void* host, void* device, size_t num_bytes) {
  Time(OpKind::kOther, [&] { ops().CopyToDevice(host, device, num_bytes); });
}
void TimedOps::CopyToHost(const void* device, void* host, size_t num_bytes) {
  Time(OpKind::kOther, [&] { ops().CopyToHost(device, host, num_bytes); });
}
void TimedOps::Linear(const LinearArgs& args) {
  Time(OpKind::kLinear, [&] { ops().Linear(args); });
}
void TimedOps::LayerNorm(const LayerNormArgs& args) {
  Time(OpKind::kOther, [&] { ops().LayerNorm(args); });
}
void TimedOps::DualLayerNorm(const DualLayerNormArgs& args) {
  Time(OpKind::kOther, [&] { ops().DualLayerNorm(args); });
}
void TimedOps::RmsNorm(const RmsNormArgs& args) {
  Time(OpKind::kOther, [&] { ops().RmsNorm(args); });
}
void TimedOps::Embed(const EmbedArgs& args) {
  Time(OpKind::kOther, [&] { ops().Embed(args); });
}
void TimedOps::Cast(const TensorView& input, const TensorView& output) {
  Time(OpKind::kOther, [&] { ops().Cast(input, output); });
}
void TimedOps::GatherRows(const TensorView& input, const TensorView& indices,
                          const TensorView& output) {
  Time(OpKind::kOther, [&] { ops().GatherRows(input, indices, output); });
}
void TimedOps::CopyColumns(const TensorView& input, int64_t column_begin,
                           const TensorView& output) {
  Time(OpKind::kOther, [&] { ops().CopyColumns(input, column_begin, output); });
}
void TimedOps::RotaryStoreKv(const RotaryStoreKvArgs& args) {
  Time(OpKind::kAttention, [&] { ops().RotaryStoreKv(args); });
}
void TimedOps::PagedAttention(const PagedAttentionArgs& args) {
  Time(OpKind::kAttention, [&] { ops().PagedAttention(args); });
}
void TimedOps::LocalAttention(const LocalAttentionArgs& args) {
  Time(OpKind::kAttention, [&] { ops().LocalAttention(args); });
}
void TimedOps::CrossAttention(const CrossAttentionArgs& args) {
  Time(OpKind::kAttention, [&] { ops().CrossAttention(args); });
}
void TimedOps::SampleTokens(const TensorView& input, const Matrix& head,
                            const SampleArgs& args) {
  Time(OpKind::kSampling, [&] { ops().SampleTokens(input, head, args); });
}

}  // namespace blockserve
