#include "kernels/cpu/cpu_ops.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "kernels/api/shape_checks.h"
#include "kernels/cpu/amx/amx_linear.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/kv_page.h"
#include "kernels/cpu/largest_logit.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/local_attention.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/onednn_linear.h"
#include "kernels/cpu/paged_attention.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/rotary_store_kv.h"
#include "kernels/cpu/row_buckets.h"
#include "kernels/cpu/sampling.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Logits of so many rows are held at once: a weight as large as a vocabulary's
// is read again for every tile, but a logit costs 4 bytes.
constexpr int64_t kMaxLogitRows = 256;

// Every call is done when it returns.
template <typename T>
class CpuOps : public Ops {
 public:
  CpuOps(std::unique_ptr<cpu::LinearEngine> linear, int num_threads)
      : num_threads_(num_threads),
        linear_(std::move(linear)),
        sampler_(num_threads) {}

  std::string_view name() const override { return "cpu"; }
  std::string Describe() const override {
    return absl::StrCat(
        "cpu ", std::string(NameOf(dtype())), ": oneDNN ", cpu::OneDnnVersion(),
        " ", cpu::OneDnnIsaName(), ", Highway ", cpu::HighwayTargetName(),
        ", products by ", std::string(linear_->name()), ", ", num_threads_,
        num_threads_ == 1 ? " thread" : " threads");
  }
  DType dtype() const override { return DTypeOf<T>(); }

  absl::StatusOr<Buffer> Allocate(size_t num_bytes) override {
    return cpu::AllocateMemory(num_bytes);
  }
  void CopyToDevice(const void* host, void* device, size_t num_bytes) override {
    if (num_bytes > 0) std::memcpy(device, host, num_bytes);
  }
  void CopyToHost(const void* device, void* host, size_t num_bytes) override {
    if (num_bytes > 0) std::memcpy(host, device, num_bytes);
  }
  absl::Status Reserve(const OpsLimits& limits) override;
  int64_t PaddedRows(int64_t rows) const override {
    return cpu::PadToRowBuckets(rows);
  }
  absl::Status Synchronize() override { return status_; }

  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(const float* weight,
                                                     int64_t out_dim,
                                                     int64_t in_dim) override {
    return linear_->Pack(weight, out_dim, in_dim);
  }

  void Linear(const LinearArgs& args) override {
    CheckLinear(args, dtype());
    Keep(linear_->Run(args));
  }
  void LayerNorm(const LayerNormArgs& args) override {
    CheckLayerNorm(args, dtype());
    cpu::LayerNorm<T>(args, num_threads_);
  }
  void DualLayerNorm(const DualLayerNormArgs& args) override {
    CheckDualLayerNorm(args, dtype());
    cpu::DualLayerNorm<T>(args, num_threads_);
  }
  void RmsNorm(const RmsNormArgs& args) override {
    CheckRmsNorm(args, dtype());
    cpu::RmsNorm<T>(args, num_threads_);
  }
  void Embed(const EmbedArgs& args) override {
    CheckEmbed(args, dtype());
    cpu::Embed(args, num_threads_);
  }
  void Cast(const TensorView& input, const TensorView& output) override {
    CheckCast(input, output, dtype());
    cpu::Cast(input, output, num_threads_);
  }
  void GatherRows(const TensorView& input, const TensorView& indices,
                  const TensorView& output) override {
    CheckGatherRows(input, indices, output, dtype());
    cpu::GatherRows(input, indices, output, num_threads_);
  }
  void CopyColumns(const TensorView& input, int64_t column_begin,
                   const TensorView& output) override {
    CheckCopyColumns(input, column_begin, output, dtype());
    cpu::CopyColumns(input, column_begin, output, num_threads_);
  }

  size_t KvPageBytes(int num_heads, int head_dim) const override {
    return cpu::KvPage<T>(num_heads, head_dim).page_size() * sizeof(T);
  }
  size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim,
                      int max_length) const override {
    return cpu::LocalKvBytes<T>(rows, num_heads, head_dim, max_length);
  }
  void RotaryStoreKv(const RotaryStoreKvArgs& args) override {
    CheckRotaryStoreKv(args, dtype());
    cpu::RotaryStoreKv<T>(args, num_threads_);
  }
  void PagedAttention(const PagedAttentionArgs& args) override {
    CheckPagedAttention(args, dtype());
    cpu::PagedAttention<T>(args, num_threads_);
  }
  void LocalAttention(const LocalAttentionArgs& args) override {
    CheckLocalAttention(args, dtype());
    cpu::LocalAttention<T>(args, num_threads_);
  }
  void CrossAttention(const CrossAttentionArgs& args) override {
    CheckCrossAttention(args, dtype());
    cpu::CrossAttention<T>(args, num_threads_);
  }

  void SampleTokens(const TensorView& input, const Matrix& head,
                    const SampleArgs& args) override;

 private:
  // The first failure stays until the end.
  void Keep(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  absl::Status ReserveLogits(int64_t rows, int64_t vocab_size);
  // True if no row needs its logits in memory, only the largest.
  bool NeedsNoLogits(const Matrix& head, const SampleArgs& args) const;
  absl::Status SampleTile(const TensorView& input, const Matrix& head,
                          const SampleArgs& args, int64_t row_begin);

  const int num_threads_;
  const std::unique_ptr<cpu::LinearEngine> linear_;
  cpu::Sampler sampler_;
  Buffer logits_;
  std::vector<cpu::LargestLogit> largest_;
  absl::Status status_;
};

template <typename T>
absl::Status CpuOps<T>::Reserve(const OpsLimits& limits) {
  linear_->set_max_rows(std::max(limits.max_rows, limits.max_sample_rows));
  sampler_.Reserve(limits.vocab_size);
  largest_.reserve(limits.max_sample_rows);
  RETURN_IF_ERROR(ReserveLogits(limits.max_sample_rows, limits.vocab_size));
  // The thread that loads a model need not be the one that steps.
  cpu::EndTeam();
  return absl::OkStatus();
}

template <typename T>
absl::Status CpuOps<T>::ReserveLogits(int64_t rows, int64_t vocab_size) {
  const size_t num_bytes =
      sizeof(float) * vocab_size * PaddedRows(std::min(rows, kMaxLogitRows));
  if (num_bytes <= logits_.num_bytes()) return absl::OkStatus();
  ASSIGN_OR_RETURN(logits_, cpu::AllocateMemory(num_bytes));
  return absl::OkStatus();
}

template <typename T>
bool CpuOps<T>::NeedsNoLogits(const Matrix& head,
                              const SampleArgs& args) const {
  return args.logits.empty() && linear_->CanFindLargest(head) &&
         std::all_of(args.rows.begin(), args.rows.end(),
                     [&](const SampleRow& row) {
                       return cpu::NeedsLargestOnly(row, args.offset) ||
                              !cpu::NeedsLogits(row, args.offset);
                     }) &&
         // A prompt's forced tokens need nothing at all.
         std::any_of(args.rows.begin(), args.rows.end(),
                     [&](const SampleRow& row) {
                       return cpu::NeedsLogits(row, args.offset);
                     });
}

template <typename T>
void CpuOps<T>::SampleTokens(const TensorView& input, const Matrix& head,
                             const SampleArgs& args) {
  CheckSampleTokens(input, head, args, dtype());
  const auto num_rows = static_cast<int64_t>(args.rows.size());
  if (NeedsNoLogits(head, args)) {
    largest_.resize(num_rows);
    linear_->FindLargest(input, head, absl::MakeSpan(largest_));
    cpu::TakeLargest(largest_, args);
    return;
  }
  Keep(ReserveLogits(num_rows, head.out_dim()));
  if (!status_.ok()) return;
  for (int64_t row = 0; row < num_rows; row += kMaxLogitRows) {
    const int64_t row_end = std::min(row + kMaxLogitRows, num_rows);
    Keep(SampleTile(input.Rows(row, row_end), head, args, row));
  }
}

template <typename T>
absl::Status CpuOps<T>::SampleTile(const TensorView& input, const Matrix& head,
                                   const SampleArgs& args, int64_t row_begin) {
  const int64_t num_rows = input.dim(0);
  const auto rows = args.rows.subspan(row_begin, num_rows);
  const bool needs_logits = std::any_of(
      rows.begin(), rows.end(),
      [&](const SampleRow& row) { return cpu::NeedsLogits(row, args.offset); });
  if (!needs_logits && args.logits.empty()) return absl::OkStatus();
  const TensorView logits(logits_.data(), DType::kFloat32,
                          {num_rows, head.out_dim()});
  RETURN_IF_ERROR(
      linear_->Run({.input = input, .weight = &head, .output = logits}));
  if (!args.logits.empty()) {
    cpu::Cast(logits, args.logits.Rows(row_begin, row_begin + num_rows),
              num_threads_);
  }
  sampler_.Sample(logits, args, row_begin);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<cpu::LinearEngine>> CreateLinear(
    DType dtype, int num_threads) {
  ASSIGN_OR_RETURN(auto one_dnn, cpu::OneDnnLinear::Create(dtype, num_threads));
  if (dtype != DType::kBFloat16 || !cpu::AmxLinear::IsSupported()) {
    return one_dnn;
  }
  return std::make_unique<cpu::AmxLinear>(num_threads, std::move(one_dnn));
}

template <typename T>
absl::StatusOr<std::unique_ptr<Ops>> Create(int num_threads) {
  ASSIGN_OR_RETURN(auto linear, CreateLinear(DTypeOf<T>(), num_threads));
  return std::make_unique<CpuOps<T>>(std::move(linear), num_threads);
}

}  // namespace

bool CpuHasBFloat16() { return cpu::HasBFloat16(); }

absl::StatusOr<std::unique_ptr<Ops>> CreateCpuOps(DType dtype,
                                                  int num_threads) {
  if (num_threads < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_threads must not be negative, got ", num_threads));
  }
  cpu::AlignHighwayWithOneDnn();
  if (num_threads == 0) num_threads = cpu::NumUsableCores();
  switch (dtype) {
    case DType::kFloat32:
      return Create<float>(num_threads);
    case DType::kBFloat16:
      return Create<BFloat16>(num_threads);
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("the cpu backend computes in fp32 or bf16, not in ",
                       std::string(NameOf(dtype))));
  }
}

}  // namespace blockserve
