// The vocabulary of a backend: everything a model asks of a device.
#ifndef BLOCKSERVE_KERNELS_API_OPS_H_
#define BLOCKSERVE_KERNELS_API_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/attention_args.h"
#include "kernels/api/buffer.h"
#include "kernels/api/dtype.h"
#include "kernels/api/sample_args.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Positions of the block decoder per page of the KV cache.
inline constexpr int kPageLength = 16;

enum class Activation { kNone, kGelu, kGeluTanh, kRelu };

// A weight in the form its backend multiplies with fastest; packed once.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual int64_t out_dim() const = 0;
  virtual int64_t in_dim() const = 0;
  virtual size_t num_bytes() const = 0;
};

// output = activation(input W^T + bias), or output += ... with `accumulate`.
// Sums are fp32 or wider; the result is rounded once, when it is stored.
struct LinearArgs {
  TensorView input;  // T [rows, in_dim]
  const Matrix* weight = nullptr;
  TensorView bias = {};  // float [out_dim], or empty
  Activation activation = Activation::kNone;
  bool accumulate = false;  // needs a float output and no activation
  TensorView output;        // T or float [rows, out_dim]; not `input`
};

// output = (x - mean) / sqrt(variance + eps) * gamma + beta, per row.
struct LayerNormArgs {
  TensorView input;  // float [rows, dim]
  TensorView gamma;  // float [dim]
  TensorView beta;   // float [dim]
  float eps = 1e-5f;
  TensorView output = {};        // T [rows, dim], or empty; not `input`
  TensorView float_output = {};  // float [rows, dim], or empty; may be `input`
};

// The two norms of a parallel residual, which share mean and variance.
struct DualLayerNormArgs {
  TensorView input;            // float [rows, dim]
  TensorView gamma_a, beta_a;  // float [dim]
  TensorView gamma_b, beta_b;  // float [dim]
  float eps = 1e-5f;
  TensorView output_a, output_b;  // T [rows, dim]; not `input`
};

// output = x / sqrt(mean(x^2) + eps) * gamma, per row (T5).
struct RmsNormArgs {
  TensorView input;  // float [rows, dim]
  TensorView gamma;  // float [dim]
  float eps = 1e-6f;
  TensorView output = {};        // T [rows, dim], or empty; not `input`
  TensorView float_output = {};  // float [rows, dim], or empty; may be `input`
};

// output[i] (+)= table[ids[i * ids_stride]]. Ids below 0 (a kInvalidToken that
// is fed on) read row 0; ids must be less than vocab_size.
struct EmbedArgs {
  TensorView ids;  // int32, at least (rows - 1) * ids_stride + 1 elements
  int64_t ids_stride = 1;
  TensorView table;  // T [vocab_size, dim]
  bool accumulate = false;
  TensorView output;  // float [rows, dim]
};

// The extents a backend must be ready for, so that no step allocates.
struct OpsLimits {
  int64_t max_rows = 0;         // of any Linear
  int64_t max_sample_rows = 0;  // of SampleTokens
  int64_t vocab_size = 0;
};

// One ordered queue of work on one device. Calls are enqueued and may return
// before the work is done; what they name must stay alive until Synchronize.
// `T` below is dtype(): the type of activations, packed weights and KV cache;
// "float" tensors are fp32 in every backend. A wrong shape is a bug of the
// caller and CHECK-fails; a failure of the device is kept, and Synchronize
// returns the first one. Every shape below is exact, rank included (use
// TensorView::Reshape); kernels/api/shape_checks.h is what checks them. Zero
// rows are allowed everywhere and do nothing.
//
// Used by one thread at a time.
class Ops {
 public:
  virtual ~Ops() = default;

  // "reference", "cpu", "cuda".
  virtual std::string_view name() const = 0;
  // For the start-up report: instruction set, threads, device.
  virtual std::string Describe() const = 0;
  // T: kFloat32 or kBFloat16.
  virtual DType dtype() const = 0;

  // --- memory -------------------------------------------------------------
  // Zeroed, aligned to 64 bytes. RESOURCE_EXHAUSTED if there is not enough.
  virtual absl::StatusOr<Buffer> Allocate(size_t num_bytes) = 0;
  virtual void CopyToDevice(const void* host, void* device,
                            size_t num_bytes) = 0;
  virtual void CopyToHost(const void* device, void* host, size_t num_bytes) = 0;
  // Makes scratch and primitives for steps within `limits`.
  virtual absl::Status Reserve(const OpsLimits& limits) = 0;
  // An activation that any Linear reads or writes needs room for
  // PaddedRows(rows) rows: a backend may compute rows beyond the last.
  virtual int64_t PaddedRows(int64_t rows) const = 0;
  // Waits for everything enqueued.
  virtual absl::Status Synchronize() = 0;
  // What is left of a device's own memory; nothing where tensors are in the
  // host's.
  virtual std::optional<int64_t> FreeDeviceBytes() { return std::nullopt; }
  // What work is enqueued on, for communicators between devices: a
  // cudaStream_t. Null where tensors are in the host's memory.
  virtual void* native_stream() const { return nullptr; }

  // --- weights ------------------------------------------------------------
  // `weight`: host, row-major [out_dim, in_dim]; copied.
  virtual absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(
      const float* weight, int64_t out_dim, int64_t in_dim) = 0;

  // --- dense --------------------------------------------------------------
  virtual void Linear(const LinearArgs& args) = 0;
  virtual void LayerNorm(const LayerNormArgs& args) = 0;
  virtual void DualLayerNorm(const DualLayerNormArgs& args) = 0;
  virtual void RmsNorm(const RmsNormArgs& args) = 0;
  virtual void Embed(const EmbedArgs& args) = 0;
  // float -> T, T -> float or a plain copy, by the dtypes. Same counts; the
  // shapes may differ. `output` is not `input`.
  virtual void Cast(const TensorView& input, const TensorView& output) = 0;
  // output[i] = input[indices[i]].
  //   input: float or T [n, dim]; indices: int32 [rows], in [0, n);
  //   output: the same dtype [rows, dim], not `input`
  virtual void GatherRows(const TensorView& input, const TensorView& indices,
                          const TensorView& output) = 0;
  // output = input[:, column_begin : column_begin + output.dim(1)].
  //   input: float or T [rows, n]; output: the same dtype [rows, dim], not
  //   `input`
  virtual void CopyColumns(const TensorView& input, int64_t column_begin,
                           const TensorView& output) = 0;

  // --- attention ----------------------------------------------------------
  // Bytes of one page of one layer, and of a local cache of one layer.
  virtual size_t KvPageBytes(int num_heads, int head_dim) const = 0;
  virtual size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                              int max_length) const = 0;
  virtual void RotaryStoreKv(const RotaryStoreKvArgs& args) = 0;
  virtual void PagedAttention(const PagedAttentionArgs& args) = 0;
  virtual void LocalAttention(const LocalAttentionArgs& args) = 0;
  virtual void CrossAttention(const CrossAttentionArgs& args) = 0;

  // --- sampling -----------------------------------------------------------
  // Projects `input` to logits by `head` (no bias) and picks a token per row.
  // Tokens and log-probabilities may be read after Synchronize.
  //   input: T [rows, dim]; head: [vocab_size, dim]
  virtual void SampleTokens(const TensorView& input, const Matrix& head,
                            const SampleArgs& args) = 0;
  // Takes over the rows of the SampleTokens that follow with `rows_are_set`.
  virtual void SetSampleRows(absl::Span<const SampleRow> /*rows*/) {}

  // --- repetition ---------------------------------------------------------
  // Enqueues what `enqueue` enqueues. A device that Replays may record it and
  // then do the same again without a call whenever `key` comes, until
  // ForgetReplays: it must depend on nothing but the key and what memory of
  // the device holds, and neither copy nor wait. Keys are of one user.
  virtual void Replay(uint64_t /*key*/, absl::FunctionRef<void()> enqueue) {
    enqueue();
  }
  virtual void ForgetReplays() {}
  // False: Replay is a call. Then there is no use in making steps alike.
  virtual bool replays() const { return false; }
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_API_OPS_H_
