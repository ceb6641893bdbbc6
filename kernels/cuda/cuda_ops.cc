#include "kernels/cuda/cuda_ops.h"

#include <glog/logging.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/api/shape_checks.h"
#include "kernels/cuda/cuda_matrix.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/graph_cache.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/local_attention.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/paged_attention.h"
#include "kernels/cuda/paged_attention_runner.h"
#include "kernels/cuda/rotary_store_kv.h"
#include "kernels/cuda/sampler.h"
#include "kernels/cuda/staged_copies.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

using cuda::ToStatus;

// Behind each buffer: a vector load that begins at the last element still reads
// memory of the buffer.
constexpr size_t kSlackBytes = 16;

// Batch sizes times what else sets steps apart.
constexpr size_t kMaxGraphs = 128;

class StreamOps final : public CudaOps {
 public:
  StreamOps(const CudaOptions& options, std::string device_name,
            cudaStream_t stream)
      : options_(options),
        device_name_(std::move(device_name)),
        stream_(stream),
        graphs_(stream, kMaxGraphs) {}
  ~StreamOps() override {
    UseDevice();
    (void)cudaStreamSynchronize(stream_);
    graphs_.Clear();
    sampler_.reset();
    linear_.reset();
    paged_attention_.reset();
    matmul_.reset();
    copies_.reset();
    (void)cudaStreamDestroy(stream_);
  }

  absl::Status Init(int num_multiprocessors);

  std::string_view name() const override { return "cuda"; }
  std::string Describe() const override {
    return absl::StrCat("cuda, ", std::string(NameOf(dtype())), ", device ",
                        options_.device_ordinal, ", ", device_name_);
  }
  DType dtype() const override { return options_.dtype; }
  cudaStream_t stream() const override { return stream_; }
  void* native_stream() const override { return stream_; }
  std::optional<int64_t> FreeDeviceBytes() override {
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    UseDevice();
    Keep(ToStatus(cudaMemGetInfo(&free_bytes, &total_bytes),
                  "asking for free memory"));
    return static_cast<int64_t>(free_bytes);
  }

  absl::StatusOr<Buffer> Allocate(size_t num_bytes) override;
  void CopyToDevice(const void* host, void* device, size_t num_bytes) override {
    Run([&] { return copies_->ToDevice(host, device, num_bytes); });
  }
  void CopyToHost(const void* device, void* host, size_t num_bytes) override {
    Run([&] { return copies_->ToHost(device, host, num_bytes); });
  }
  absl::Status Reserve(const OpsLimits& limits) override {
    UseDevice();
    return sampler_->Reserve(limits.max_sample_rows, limits.vocab_size);
  }
  int64_t PaddedRows(int64_t rows) const override { return rows; }
  absl::Status Synchronize() override {
    UseDevice();
    Keep(copies_->Synchronize());
    return status_;
  }
  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(const float* weight,
                                                     int64_t out_dim,
                                                     int64_t in_dim) override;

  void Linear(const LinearArgs& args) override {
    CheckLinear(args, dtype());
    Run([&] { return linear_->Run(args, stream_); });
  }
  void LayerNorm(const LayerNormArgs& args) override;
  void DualLayerNorm(const DualLayerNormArgs& args) override;
  void RmsNorm(const RmsNormArgs& args) override;
  void Embed(const EmbedArgs& args) override;
  void Cast(const TensorView& input, const TensorView& output) override;
  void GatherRows(const TensorView& input, const TensorView& indices,
                  const TensorView& output) override;
  void CopyColumns(const TensorView& input, int64_t column_begin,
                   const TensorView& output) override;

  size_t KvPageBytes(int num_heads, int head_dim) const override {
    return LocalKvBytes(1, num_heads, head_dim, kPageLength);
  }
  size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                      int max_length) const override {
    return static_cast<size_t>(rows) * 2 * num_heads * max_length * head_dim *
           SizeOf(dtype());
  }
  void RotaryStoreKv(const RotaryStoreKvArgs& args) override;
  void PagedAttention(const PagedAttentionArgs& args) override;
  void LocalAttention(const LocalAttentionArgs& args) override;
  void CrossAttention(const CrossAttentionArgs& args) override;

  void SampleTokens(const TensorView& input, const Matrix& head,
                    const SampleArgs& args) override {
    CheckSampleTokens(input, head, args, dtype());
    Run([&] { return sampler_->Run(input, head, args, stream_); });
  }
  void SetSampleRows(absl::Span<const SampleRow> rows) override {
    Run([&] { return sampler_->SetRows(rows); });
  }

  void Replay(uint64_t key, absl::FunctionRef<void()> enqueue) override;
  void ForgetReplays() override {
    UseDevice();
    graphs_.Clear();
  }
  bool replays() const override { return options_.graphs; }

 private:
  void UseDevice() {
    Keep(ToStatus(cudaSetDevice(options_.device_ordinal),
                  "choosing the device"));
  }
  void Keep(const absl::Status& status) {
    if (status_.ok() && !status.ok()) status_ = status;
  }
  // Does nothing after a failure: what would come out is undefined.
  template <typename Enqueue>
  void Run(const Enqueue& enqueue) {
    UseDevice();
    if (status_.ok()) Keep(enqueue());
  }
  template <typename Launch>
  void RunKernel(const char* name, const Launch& launch) {
    Run([&] { return ToStatus(launch(), absl::StrCat("launching ", name)); });
  }

  const CudaOptions options_;
  const std::string device_name_;
  const cudaStream_t stream_;
  absl::Status status_;  // the first failure
  cuda::GraphCache graphs_;
  int64_t num_moves_ = 0;  // of the sampler's scratch, as the graphs know it
  std::unique_ptr<cuda::StagedCopies> copies_;
  std::unique_ptr<cuda::Matmul> matmul_;
  std::unique_ptr<cuda::PagedAttentionRunner> paged_attention_;
  std::unique_ptr<cuda::CudaLinear> linear_;
  std::unique_ptr<cuda::CudaSampler> sampler_;
};

absl::Status StreamOps::Init(int num_multiprocessors) {
  ASSIGN_OR_RETURN(copies_,
                   cuda::StagedCopies::Create(options_.staging_bytes, stream_));
  ASSIGN_OR_RETURN(matmul_, cuda::Matmul::Create(options_.workspace_bytes));
  ASSIGN_OR_RETURN(linear_, cuda::CudaLinear::Create(options_.scratch_bytes,
                                                     dtype(), *matmul_));
  ASSIGN_OR_RETURN(paged_attention_, cuda::PagedAttentionRunner::Create(
                                         num_multiprocessors, stream_));
  sampler_ = std::make_unique<cuda::CudaSampler>(*matmul_, *copies_);
  return absl::OkStatus();
}

absl::StatusOr<Buffer> StreamOps::Allocate(size_t num_bytes) {
  UseDevice();
  const size_t room = num_bytes + kSlackBytes;
  if (room < num_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", num_bytes, " bytes of a device"));
  }
  void* data = nullptr;
  RETURN_IF_ERROR(
      ToStatus(cudaMalloc(&data, room),
               absl::StrCat("allocating ", num_bytes, " bytes of a device")));
  Buffer buffer(data, num_bytes, [](void* data) { (void)cudaFree(data); });
  RETURN_IF_ERROR(
      ToStatus(cudaMemsetAsync(data, 0, room, stream_), "clearing memory"));
  return buffer;
}

absl::StatusOr<std::unique_ptr<Matrix>> StreamOps::PackMatrix(
    const float* weight, int64_t out_dim, int64_t in_dim) {
  const int64_t count = out_dim * in_dim;
  ASSIGN_OR_RETURN(Buffer elements,
                   Allocate(static_cast<size_t>(count) * SizeOf(dtype())));
  RETURN_IF_ERROR(linear_->ReserveColumns(out_dim));
  if (dtype() == DType::kBFloat16) {
    std::vector<BFloat16> rounded(static_cast<size_t>(count));
    std::transform(weight, weight + count, rounded.begin(), ToBFloat16);
    CopyToDevice(rounded.data(), elements.data(), elements.num_bytes());
  } else {
    CopyToDevice(weight, elements.data(), elements.num_bytes());
  }
  RETURN_IF_ERROR(status_);
  return std::make_unique<cuda::CudaMatrix>(std::move(elements), out_dim,
                                            in_dim);
}

void StreamOps::Replay(uint64_t key, absl::FunctionRef<void()> enqueue) {
  if (!options_.graphs) return enqueue();
  if (num_moves_ != sampler_->num_moves()) {
    num_moves_ = sampler_->num_moves();
    ForgetReplays();
  }
  Run([&] { return graphs_.Run(key, enqueue); });
}

// --- dense -------------------------------------------------------------------

void StreamOps::LayerNorm(const LayerNormArgs& args) {
  CheckLayerNorm(args, dtype());
  cuda::NormProblem problem;
  problem.input = args.input.as<float>();
  problem.num_rows = args.input.dim(0);
  problem.dim = static_cast<int>(args.input.dim(1));
  problem.eps = args.eps;
  problem.first = {args.gamma.as<float>(), args.beta.as<float>(),
                   args.output.data()};
  problem.float_output = args.float_output.as<float>();
  RunKernel("norm",
            [&] { return cuda::LaunchNorm(problem, dtype(), stream_); });
}

void StreamOps::DualLayerNorm(const DualLayerNormArgs& args) {
  CheckDualLayerNorm(args, dtype());
  cuda::NormProblem problem;
  problem.input = args.input.as<float>();
  problem.num_rows = args.input.dim(0);
  problem.dim = static_cast<int>(args.input.dim(1));
  problem.eps = args.eps;
  problem.first = {args.gamma_a.as<float>(), args.beta_a.as<float>(),
                   args.output_a.data()};
  problem.second = {args.gamma_b.as<float>(), args.beta_b.as<float>(),
                    args.output_b.data()};
  RunKernel("norm",
            [&] { return cuda::LaunchNorm(problem, dtype(), stream_); });
}

void StreamOps::RmsNorm(const RmsNormArgs& args) {
  CheckRmsNorm(args, dtype());
  cuda::NormProblem problem;
  problem.input = args.input.as<float>();
  problem.num_rows = args.input.dim(0);
  problem.dim = static_cast<int>(args.input.dim(1));
  problem.eps = args.eps;
  problem.subtracts_mean = false;
  problem.first = {args.gamma.as<float>(), nullptr, args.output.data()};
  problem.float_output = args.float_output.as<float>();
  RunKernel("norm",
            [&] { return cuda::LaunchNorm(problem, dtype(), stream_); });
}

void StreamOps::Embed(const EmbedArgs& args) {
  CheckEmbed(args, dtype());
  cuda::EmbedProblem problem;
  problem.ids = args.ids.as<int32_t>();
  problem.ids_stride = args.ids_stride;
  problem.table = args.table.data();
  problem.output = args.output.as<float>();
  problem.num_rows = args.output.dim(0);
  problem.dim = args.output.dim(1);
  problem.accumulate = args.accumulate;
  RunKernel("embed",
            [&] { return cuda::LaunchEmbed(problem, dtype(), stream_); });
}

void StreamOps::Cast(const TensorView& input, const TensorView& output) {
  CheckCast(input, output, dtype());
  RunKernel("cast", [&] {
    return cuda::LaunchCast(input.data(), input.dtype(), output.data(),
                            output.dtype(), input.num_elements(), stream_);
  });
}

void StreamOps::GatherRows(const TensorView& input, const TensorView& indices,
                           const TensorView& output) {
  CheckGatherRows(input, indices, output, dtype());
  RunKernel("gather_rows", [&] {
    return cuda::LaunchGatherRows(input.data(), indices.as<int32_t>(),
                                  output.data(), output.dim(0), output.dim(1),
                                  input.dtype(), stream_);
  });
}

void StreamOps::CopyColumns(const TensorView& input, int64_t column_begin,
                            const TensorView& output) {
  CheckCopyColumns(input, column_begin, output, dtype());
  RunKernel("copy_columns", [&] {
    return cuda::LaunchCopyColumns(input.data(), input.dim(1), column_begin,
                                   output.data(), output.dim(0), output.dim(1),
                                   input.dtype(), stream_);
  });
}

// --- attention ---------------------------------------------------------------

void StreamOps::RotaryStoreKv(const RotaryStoreKvArgs& args) {
  CheckRotaryStoreKv(args, dtype());
  cuda::RotaryStoreKvProblem problem;
  problem.qkv = args.qkv.data();
  problem.rotary = args.rotary.as<float>();
  problem.positions = args.positions.as<int32_t>();
  problem.slots = args.slots.as<int32_t>();
  problem.cache = args.cache.data;
  problem.num_rows = args.qkv.dim(0);
  problem.num_heads = args.cache.num_heads;
  problem.head_dim = args.cache.head_dim;
  problem.rotary_dim =
      args.rotary.empty() ? 0 : static_cast<int>(args.rotary.dim(1));
  RunKernel("rotary_store_kv", [&] {
    return cuda::LaunchRotaryStoreKv(problem, dtype(), stream_);
  });
}

void StreamOps::PagedAttention(const PagedAttentionArgs& args) {
  CheckPagedAttention(args, dtype());
  cuda::PagedAttentionProblem problem;
  problem.qkv = args.qkv.data();
  problem.query_offsets = args.query_offsets.as<int32_t>();
  problem.page_table = args.page_table.as<int32_t>();
  problem.key_begin = args.key_begin.as<int32_t>();
  problem.key_end = args.key_end.as<int32_t>();
  problem.cache = args.cache.data;
  problem.output = args.output.data();
  problem.num_rows = static_cast<int>(args.qkv.dim(0));
  problem.num_sequences = static_cast<int>(args.page_table.dim(0));
  problem.max_pages = static_cast<int>(args.page_table.dim(1));
  problem.num_heads = args.cache.num_heads;
  problem.head_dim = args.cache.head_dim;
  problem.scale = args.scale;
  Run([&] { return paged_attention_->Run(problem, dtype(), stream_); });
}

void StreamOps::LocalAttention(const LocalAttentionArgs& args) {
  CheckLocalAttention(args, dtype());
  cuda::LocalAttentionProblem problem;
  problem.qkv = args.qkv.data();
  problem.rotary = args.rotary.as<float>();
  problem.positions = args.positions.as<int32_t>();
  problem.key_mask = args.key_mask.as<uint8_t>();
  problem.bias = args.bias.as<float>();
  problem.cache = args.cache;
  problem.output = args.output.data();
  problem.num_rows = args.qkv.dim(0) / args.num_queries;
  problem.num_queries = args.num_queries;
  problem.past_length = args.past_length;
  problem.max_length = args.max_length;
  problem.num_heads = static_cast<int>(args.qkv.dim(1));
  problem.head_dim = static_cast<int>(args.qkv.dim(3));
  problem.rotary_dim =
      args.rotary.empty() ? 0 : static_cast<int>(args.rotary.dim(1));
  problem.window = args.window;
  problem.is_causal = args.causal;
  problem.scale = args.scale;
  RunKernel("local_attention", [&] {
    return cuda::LaunchLocalAttention(problem, dtype(), stream_);
  });
}

void StreamOps::CrossAttention(const CrossAttentionArgs& args) {
  CheckCrossAttention(args, dtype());
  cuda::CrossAttentionProblem problem;
  problem.query = args.query.data();
  problem.memory = args.memory.data();
  problem.output = args.output.data();
  problem.num_positions = args.query.dim(0);
  problem.num_queries = args.num_queries;
  problem.memory_length = static_cast<int>(args.memory.dim(1));
  problem.num_heads = static_cast<int>(args.query.dim(1));
  problem.head_dim = static_cast<int>(args.query.dim(2));
  problem.scale = args.scale;
  RunKernel("cross_attention", [&] {
    return cuda::LaunchCrossAttention(problem, dtype(), stream_);
  });
}

std::string Spell(const cudaDeviceProp& properties) {
  return absl::StrFormat("%s, %.0f GiB, sm_%d%d", properties.name,
                         properties.totalGlobalMem / 0x1p30, properties.major,
                         properties.minor);
}

}  // namespace

absl::StatusOr<int> CudaOps::NumDevices() {
  int num_devices = 0;
  RETURN_IF_ERROR(
      ToStatus(cudaGetDeviceCount(&num_devices), "looking for devices"));
  return num_devices;
}

absl::StatusOr<std::unique_ptr<CudaOps>> CudaOps::Create(
    const CudaOptions& options) {
  if (options.dtype != DType::kFloat32 && options.dtype != DType::kBFloat16) {
    return absl::InvalidArgumentError(
        absl::StrCat("cuda: dtype must be fp32 or bf16, got ",
                     std::string(NameOf(options.dtype))));
  }
  ASSIGN_OR_RETURN(const int num_devices, NumDevices());
  if (options.device_ordinal < 0 || options.device_ordinal >= num_devices) {
    return absl::FailedPreconditionError(
        absl::StrCat("cuda: no device ", options.device_ordinal, ", there are ",
                     num_devices));
  }
  RETURN_IF_ERROR(
      ToStatus(cudaSetDevice(options.device_ordinal), "choosing the device"));
  cudaDeviceProp properties;
  RETURN_IF_ERROR(
      ToStatus(cudaGetDeviceProperties(&properties, options.device_ordinal),
               "asking for the device's properties"));
  cudaStream_t stream = nullptr;
  RETURN_IF_ERROR(
      ToStatus(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
               "making a stream"));
  auto ops = std::make_unique<StreamOps>(options, Spell(properties), stream);
  RETURN_IF_ERROR(ops->Init(properties.multiProcessorCount));
  return ops;
}

}  // namespace blockserve
