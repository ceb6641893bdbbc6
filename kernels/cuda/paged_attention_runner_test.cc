// Which kernel attends to what. That they are right is for the conformance
// suite.
#include "kernels/cuda/paged_attention_runner.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda_host/fake_cuda.h"

namespace blockserve {
namespace {

constexpr int kNumHeads = 2;

// Sequences of `num_keys` keys each, in order in the cache, of which the last
// `num_rows` are also queries.
class PagedAttentionRunnerTest : public testing::Test {
 protected:
  void TearDown() override {
    buffers_.clear();
    ops_.reset();
    ResetFakeCuda();
  }

  void Start(DType dtype) {
    buffers_.clear();
    ops_.reset();
    ResetFakeCuda();
    auto ops = CudaOps::Create({.dtype = dtype,
                                .workspace_bytes = 4096,
                                .scratch_bytes = 4096,
                                .staging_bytes = 1 << 16});
    ASSERT_TRUE(ops.ok()) << ops.status();
    ops_ = *std::move(ops);
  }

  void* Allocate(size_t num_bytes) {
    auto buffer = ops_->Allocate(num_bytes);
    EXPECT_TRUE(buffer.ok()) << buffer.status();
    buffers_.push_back(*std::move(buffer));
    return buffers_.back().data();
  }
  TensorView Ints(const std::vector<int32_t>& values,
                  std::initializer_list<int64_t> shape) {
    void* const data = Allocate(values.size() * sizeof(int32_t));
    ops_->CopyToDevice(values.data(), data, values.size() * sizeof(int32_t));
    return TensorView(data, DType::kInt32, shape);
  }
  TensorView Elements(int64_t rows, int parts, int head_dim) {
    const int64_t count = rows * kNumHeads * parts * head_dim;
    void* const data = Allocate(count * sizeof(float));
    std::vector<float> values(count);
    for (int64_t i = 0; i < count; ++i) {
      values[i] = 0.5f + static_cast<float>(i * 7 % 13) / 16;
    }
    const TensorView floats(Allocate(count * sizeof(float)), DType::kFloat32,
                            {count, 1});
    ops_->CopyToDevice(values.data(), floats.data(), count * sizeof(float));
    ops_->Cast(floats, TensorView(data, ops_->dtype(), {count, 1}));
    if (parts == 1) {
      return TensorView(data, ops_->dtype(), {rows, kNumHeads, head_dim});
    }
    return TensorView(data, ops_->dtype(), {rows, kNumHeads, parts, head_dim});
  }

  // The output's bytes.
  std::vector<uint8_t> Attend(int num_sequences, int num_rows, int num_keys,
                              int head_dim) {
    const int pages = (num_keys + kPageLength - 1) / kPageLength;
    const int64_t rows = int64_t{num_sequences} * num_rows;
    std::vector<int32_t> offsets, begins, ends;
    std::vector<int32_t> slots(num_sequences * pages * kPageLength);
    std::vector<int32_t> table(num_sequences * pages);
    std::iota(slots.begin(), slots.end(), 0);
    std::iota(table.begin(), table.end(), 0);
    for (int s = 0; s <= num_sequences; ++s) offsets.push_back(s * num_rows);
    for (int i = 0; i < rows; ++i) {
      begins.push_back(0);
      ends.push_back(num_keys - num_rows + 1 + i % num_rows);
    }
    const KvLayer cache{
        Allocate(table.size() * ops_->KvPageBytes(kNumHeads, head_dim)),
        static_cast<int>(table.size()), kNumHeads, head_dim};
    const auto num_slots = static_cast<int64_t>(slots.size());
    ops_->RotaryStoreKv({.qkv = Elements(num_slots, 3, head_dim),
                         .slots = Ints(slots, {num_slots}),
                         .cache = cache});
    const TensorView output = Elements(rows, 1, head_dim);
    ops_->PagedAttention({.qkv = Elements(rows, 3, head_dim),
                          .query_offsets = Ints(offsets, {num_sequences + 1}),
                          .page_table = Ints(table, {num_sequences, pages}),
                          .key_begin = Ints(begins, {rows}),
                          .key_end = Ints(ends, {rows}),
                          .scale = 0.1f,
                          .cache = cache,
                          .output = output});
    std::vector<uint8_t> bytes(output.num_elements() * SizeOf(ops_->dtype()));
    ops_->CopyToHost(output.data(), bytes.data(), bytes.size());
    EXPECT_TRUE(ops_->Synchronize().ok());
    return bytes;
  }

  int64_t Count(const std::string& kernel) {
    return CountsOfFakeCuda().kernels[kernel];
  }

  std::unique_ptr<CudaOps> ops_;
  std::vector<Buffer> buffers_;
};

TEST_F(PagedAttentionRunnerTest, OneRowASequenceIsDecoded) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Start(dtype);
    Attend(3, 1, 20, 64);
    EXPECT_EQ(Count("decode_attention"), 1);
    EXPECT_EQ(Count("prefill_attention"), 0);
  }
}

TEST_F(PagedAttentionRunnerTest, RowsOfASequenceShareKeysOnTensorCores) {
  Start(DType::kBFloat16);
  Attend(2, 7, 20, 64);
  EXPECT_EQ(Count("prefill_attention"), 1);
  EXPECT_EQ(Count("decode_attention"), 0);
}

// Tensor cores would round them.
TEST_F(PagedAttentionRunnerTest, RowsInFp32AreDecodedOneByOne) {
  Start(DType::kFloat32);
  Attend(2, 7, 20, 64);
  EXPECT_EQ(Count("prefill_attention"), 0);
  EXPECT_EQ(Count("decode_attention"), 1);
}

TEST_F(PagedAttentionRunnerTest, HeadsOfOtherSizesHaveAKernelToo) {
  Start(DType::kBFloat16);
  Attend(2, 7, 20, 80);
  EXPECT_EQ(Count("paged_attention"), 1);
}

// A row alone is split over the device, and the last CTA finds all parts, each
// time.
TEST_F(PagedAttentionRunnerTest, SplitKeysGiveTheSameEachTime) {
  Start(DType::kBFloat16);
  const std::vector<uint8_t> first = Attend(1, 1, 300, 64);
  EXPECT_EQ(Attend(1, 1, 300, 64), first);
  EXPECT_EQ(Attend(1, 1, 300, 64), first);
  EXPECT_NE(first, std::vector<uint8_t>(first.size(), 0));
  EXPECT_EQ(Count("decode_attention"), 3);
}

}  // namespace
}  // namespace blockserve
