// Where the time of a step goes: an Ops that takes the time of every call.
#ifndef BLOCKSERVE_KERNELS_PROFILE_TIMED_OPS_H_
#define BLOCKSERVE_KERNELS_PROFILE_TIMED_OPS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "kernels/profile/forwarding_ops.h"

namespace blockserve {

enum class OpKind { kLinear, kAttention, kSampling, kOther };
inline constexpr int kNumOpKinds = 4;

struct OpTime {
  absl::Duration time;
  int64_t num_calls = 0;
};

// Calls are counted for the part that was set last; parts are the caller's
// numbers. Attached by a benchmark or a test, never while serving: it waits for
// the device after each call. Calls that only make something (Allocate,
// Reserve, PackMatrix) are not timed.
//
// Used by one thread at a time, as any Ops.
class TimedOps final : public ForwardingOps {
 public:
  static constexpr int kMaxParts = 8;
  using Times = std::array<std::array<OpTime, kNumOpKinds>, kMaxParts>;

  TimedOps(std::unique_ptr<Ops> ops, std::function<absl::Time()> clock);

  // In [0, kMaxParts).
  void SetPart(int part) { part_ = part; }
  // By part and kind, since the last Reset.
  const Times& times() const { return times_; }
  void Reset() { times_ = Times(); }

  void CopyToDevice(const void* host, void* device, size_t num_bytes) override;
  void CopyToHost(const void* device, void* host, size_t num_bytes) override;
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
  void RotaryStoreKv(const RotaryStoreKvArgs& args) override;
  void PagedAttention(const PagedAttentionArgs& args) override;
  void LocalAttention(const LocalAttentionArgs& args) override;
  void CrossAttention(const CrossAttentionArgs& args) override;
  void SampleTokens(const TensorView& input, const Matrix& head,
                    const SampleArgs& args) override;

 private:
  template <typename Call>
  void Time(OpKind kind, const Call& call);

  const std::unique_ptr<Ops> owned_;
  const std::function<absl::Time()> clock_;
  int part_ = 0;
  Times times_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_PROFILE_TIMED_OPS_H_
