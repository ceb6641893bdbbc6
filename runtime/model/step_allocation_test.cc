// A step takes no memory from the heap.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "runtime/model/model.h"
#include "runtime/model/testing/checking_ops.h"
#include "runtime/model/testing/generate.h"

namespace {
std::atomic<int64_t> num_allocations{0};
}  // namespace

// Not inlined: g++ would take malloc and delete for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t num_bytes) {
  num_allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(num_bytes == 0 ? 1 : num_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace blockserve {
namespace {

class StepAllocationTest : public ::testing::TestWithParam<std::string> {};

// A step that prefills one sequence with outputs in its middle, prefills
// another without, and decodes a third.
TEST_P(StepAllocationTest, TheSecondStepAllocatesNothing) {
  CheckingOps ops;
  ModelOptions options;
  options.limits = {.max_units_per_step = 32,
                    .max_rows_per_step = 8,
                    .max_sequences_per_step = 4,
                    .max_units_per_sequence = 32,
                    .num_pages = 8};
  auto model = LoadModel("tests/testdata/golden/" + GetParam(), options, ops);
  ASSERT_TRUE(model.ok()) << model.status();
  const int length = (*model)->tokens_per_step();
  const std::vector<int32_t> tokens =
      RandomTokens(9 * length, (*model)->config().vocab_size, 1);
  std::vector<uint8_t> mask(tokens.size(), 1);
  mask[0] = 0;
  const std::vector<int32_t> pages[] = {{0, 1}, {2, 3}, {4, 5}};
  std::vector<SequenceChunk> chunks(3);
  for (int i = 0; i < 3; ++i) {
    chunks[i].tokens = absl::MakeConstSpan(tokens).first(
        (i == 2 ? 1 : 9) * static_cast<size_t>(length));
    chunks[i].pages = pages[i];
  }
  chunks[0].token_mask = mask;
  chunks[0].num_outputs = 3;
  chunks[2].num_outputs = 1;
  chunks[2].unit_begin = 5;
  chunks[2].cache_length = 5;
  std::vector<DecodeRow> rows(4);
  for (DecodeRow& row : rows) row.sampling.num_logprobs = 3;
  const std::vector<int32_t> forced = {3};
  const std::vector<uint8_t> forced_mask = {0};
  rows[1].sampling.num_forced = 1;
  rows[1].forced_tokens = forced;
  rows[1].forced_mask = forced_mask;
  rows[2].sampling.temperature = 0.8f;
  rows[2].sampling.top_p = 0.9f;

  const StepInput input{chunks, rows, length};
  ASSERT_TRUE((*model)->Step(input).ok());
  const int64_t before = num_allocations.load();
  const bool ok = (*model)->Step(input).ok();
  const int64_t after = num_allocations.load();
  EXPECT_TRUE(ok);
  EXPECT_EQ(after - before, 0);
}

INSTANTIATE_TEST_SUITE_P(Golden, StepAllocationTest,
                         ::testing::Values("a_main_b4_r2_hd32", "f_summation",
                                           "g_cross_attention_t5", "h1_roberta",
                                           "i_uptrain_projection", "j_gpt_neo",
                                           "k_vanilla"),
                         [](const auto& info) { return info.param; });

TEST(AllocationCounterTest, Counts) {
  const int64_t before = num_allocations.load();
  std::vector<std::vector<int>> vectors(2);
  for (std::vector<int>& vector : vectors) vector.resize(100);
  EXPECT_EQ(num_allocations.load() - before, 3);
}

}  // namespace
}  // namespace blockserve
