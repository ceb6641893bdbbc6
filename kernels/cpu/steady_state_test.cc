// A step allocates nothing: no operation of our own calls operator new once it
// has run. (oneDNN allocates a few small nodes per product; that it makes no
// primitive is tested in
// onednn_linear_test.cc.)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "kernels/api/ops.h"
#include "kernels/cpu/amx/amx_linear.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/sampling.h"

namespace {

std::atomic<int> num_allocations = 0;

void* CountedAllocation(std::size_t size) {
  ++num_allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return CountedAllocation(size); }
void* operator new[](std::size_t size) { return CountedAllocation(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace blockserve {
namespace {

constexpr int64_t kRows = 40;
constexpr int kNumHeads = 2;
constexpr int kHeadDim = 32;
constexpr int64_t kDim = kNumHeads * kHeadDim;

// Allocations of the second of two runs.
int AllocationsOf(const std::function<void()>& run) {
  run();
  const int before = num_allocations;
  run();
  return num_allocations - before;
}

class SteadyStateTest : public testing::Test {
 protected:
  void SetUp() override { ops_ = *CreateCpuOps(DType::kFloat32, 2); }

  TensorView Floats(std::initializer_list<int64_t> shape) {
    return Make(DType::kFloat32, shape);
  }
  TensorView Ints(std::initializer_list<int64_t> shape) {
    return Make(DType::kInt32, shape);
  }

  TensorView Make(DType dtype, std::initializer_list<int64_t> shape) {
    const TensorView shape_only(nullptr, dtype, shape);
    buffers_.push_back(*ops_->Allocate(shape_only.num_bytes()));
    return buffers_.back().View(dtype, shape);
  }

  std::unique_ptr<Ops> ops_;

 private:
  std::vector<Buffer> buffers_;
};

TEST_F(SteadyStateTest, NormsAndCopiesAllocateNothing) {
  const TensorView x = Floats({kRows, kDim});
  const TensorView y = Floats({kRows, kDim});
  const TensorView z = Floats({kRows, kDim});
  const TensorView gamma = Floats({kDim});
  const TensorView ids = Ints({kRows});
  EXPECT_EQ(AllocationsOf([&] {
              ops_->LayerNorm(
                  {.input = x, .gamma = gamma, .beta = gamma, .output = y});
              ops_->DualLayerNorm({.input = x,
                                   .gamma_a = gamma,
                                   .beta_a = gamma,
                                   .gamma_b = gamma,
                                   .beta_b = gamma,
                                   .output_a = y,
                                   .output_b = z});
              ops_->RmsNorm({.input = x, .gamma = gamma, .output = y});
              ops_->Embed({.ids = ids, .table = x, .output = y});
              ops_->Cast(x, y);
              ops_->GatherRows(x, ids, y);
              ops_->CopyColumns(x, 0, y);
            }),
            0);
}

// Of our own tile kernels; see onednn_linear_test.cc for oneDNN.
TEST_F(SteadyStateTest, TileProductsAllocateNothing) {
  if (!cpu::AmxLinear::IsSupported()) GTEST_SKIP() << "no AMX on this CPU";
  ops_ = *CreateCpuOps(DType::kBFloat16, 2);
  const std::vector<float> values(kDim * kDim, 0.5f);
  const auto weight = *ops_->PackMatrix(values.data(), kDim, kDim);
  const TensorView x = Make(DType::kBFloat16, {kRows, kDim});
  const TensorView y = Make(DType::kBFloat16, {kRows, kDim});
  EXPECT_EQ(AllocationsOf([&] {
              for (const int64_t rows : {int64_t{1}, int64_t{2}, kRows}) {
                ops_->Linear({.input = x.Rows(0, rows),
                              .weight = weight.get(),
                              .activation = Activation::kGelu,
                              .output = y.Rows(0, rows)});
              }
            }),
            0);
}

TEST_F(SteadyStateTest, AttentionAllocatesNothing) {
  const TensorView qkv = Floats({kRows, kNumHeads, 3, kHeadDim});
  const TensorView output = Floats({kRows, kNumHeads, kHeadDim});
  const TensorView memory = Floats({kRows, 2, kNumHeads, 2, kHeadDim});
  const TensorView slots = Ints({kRows});
  const TensorView offsets = Ints({2});
  offsets.as<int32_t>()[1] = kRows;
  const TensorView key_end = Ints({kRows});
  for (int i = 0; i < kRows; ++i) key_end.as<int32_t>()[i] = 1 + i % 16;
  const Buffer pages = *ops_->Allocate(ops_->KvPageBytes(kNumHeads, kHeadDim));
  const Buffer local =
      *ops_->Allocate(ops_->LocalKvBytes(kRows, kNumHeads, kHeadDim, 4));
  const KvLayer cache = {.data = pages.data(),
                         .num_pages = 1,
                         .num_heads = kNumHeads,
                         .head_dim = kHeadDim};
  EXPECT_EQ(
      AllocationsOf([&] {
        ops_->RotaryStoreKv({.qkv = qkv, .slots = slots, .cache = cache});
        ops_->PagedAttention({.qkv = qkv,
                              .query_offsets = offsets,
                              .page_table = slots.Rows(0, 1).Reshape({1, 1}),
                              .key_begin = slots,
                              .key_end = key_end,
                              .cache = cache,
                              .output = output});
        ops_->LocalAttention({.qkv = qkv,
                              .num_queries = 1,
                              .max_length = 4,
                              .cache = local.data(),
                              .output = output});
        ops_->CrossAttention({.query = output,
                              .memory = memory,
                              .num_queries = 1,
                              .output = output});
      }),
      0);
}

TEST_F(SteadyStateTest, SamplingAllocatesNothing) {
  constexpr int64_t kVocabSize = 5000;
  const TensorView logits = Floats({kRows, kVocabSize});
  const std::vector<int32_t> banned = {1, 2};
  const std::vector<TokenCount> history = {{.id = 3, .output_count = 2}};
  std::vector<SampleRow> rows(kRows);
  for (int i = 0; i < kRows; ++i) {
    rows[i].temperature = 0.5f * (i % 3);
    rows[i].top_k = i % 4 == 1 ? 20 : 0;
    rows[i].top_p = i % 4 == 2 ? 0.9f : 1.0f;
    rows[i].min_p = i % 4 == 3 ? 0.1f : 0.0f;
    rows[i].frequency_penalty = i % 5 == 0 ? 1.0f : 0.0f;
    rows[i].history = history;
    rows[i].ban_until_offset = i % 2;
    rows[i].banned_ids = banned;
    rows[i].num_logprobs = i % 6 - 1;
  }
  const SampleArgs args = {.rows = rows,
                           .tokens = Ints({kRows, 1}),
                           .logprobs = Floats({kRows, 1}),
                           .top_ids = Ints({kRows, 1, kMaxLogprobs}),
                           .top_logprobs = Floats({kRows, 1, kMaxLogprobs})};
  cpu::Sampler sampler(/*num_threads=*/2);
  sampler.Reserve(kVocabSize);
  EXPECT_EQ(AllocationsOf([&] { sampler.Sample(logits, args, 0); }), 0);
}

TEST_F(SteadyStateTest, GreedyChoiceAllocatesNothing) {
  if (!cpu::AmxLinear::IsSupported()) GTEST_SKIP() << "no AMX on this CPU";
  constexpr int64_t kVocabSize = 5000;
  ops_ = *CreateCpuOps(DType::kBFloat16, 2);
  ASSERT_TRUE(ops_->Reserve({.max_rows = kRows,
                             .max_sample_rows = kRows,
                             .vocab_size = kVocabSize})
                  .ok());
  const std::vector<float> values(kVocabSize * kDim, 0.5f);
  const auto head = *ops_->PackMatrix(values.data(), kVocabSize, kDim);
  const TensorView x = Make(DType::kBFloat16, {kRows, kDim});
  const std::vector<SampleRow> rows(kRows);
  const SampleArgs args = {.rows = rows, .tokens = Ints({kRows, 1})};
  EXPECT_EQ(AllocationsOf([&] { ops_->SampleTokens(x, *head, args); }), 0);
}

}  // namespace
}  // namespace blockserve
