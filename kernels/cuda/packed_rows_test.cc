#include "kernels/cuda/packed_rows.h"

#include <gtest/gtest.h>

#include <vector>

namespace blockserve::cuda {
namespace {

TEST(PackedRowsTest, ListsOfAllRowsFollowEachOther) {
  const std::vector<int32_t> ids = {7, 8};
  const std::vector<float> values = {0.5f, -1.0f};
  const std::vector<TokenCount> counts = {
      {.id = 3, .output_count = 2},
      {.id = 4, .output_count = 0, .in_prompt = true}};
  std::vector<SampleRow> rows(3);
  rows[0].history = counts;
  rows[1].bias_ids = ids;
  rows[1].bias_values = values;
  rows[2].history = absl::MakeConstSpan(counts).first(1);
  rows[2].bias_ids = absl::MakeConstSpan(ids).first(1);
  rows[2].bias_values = absl::MakeConstSpan(values).first(1);
  rows[2].position = 10;
  PackedRows packed;
  packed.Pack(rows, /*offset=*/2);
  SampleProblem problem;
  packed.PointTo(packed.bytes().data(), problem);

  EXPECT_EQ(problem.rows[0].history_begin, 0);
  EXPECT_EQ(problem.rows[0].history_end, 2);
  EXPECT_EQ(problem.rows[1].history_begin, problem.rows[1].history_end);
  EXPECT_EQ(problem.rows[2].history_begin, 2);
  EXPECT_EQ(problem.rows[2].history_end, 3);
  EXPECT_EQ(problem.history[1].id, 4);
  EXPECT_EQ(problem.history[1].in_prompt, 1);
  EXPECT_EQ(problem.history[2].output_count, 2);
  EXPECT_EQ(problem.rows[1].bias_begin, 0);
  EXPECT_EQ(problem.rows[2].bias_begin, 2);
  EXPECT_EQ(problem.rows[2].bias_end, 3);
  EXPECT_EQ(problem.bias_ids[2], 7);
  EXPECT_EQ(problem.bias_values[1], -1.0f);
  EXPECT_EQ(problem.rows[2].position, 12u);
}

TEST(PackedRowsTest, BansAndForcedTokensEnd) {
  const std::vector<int32_t> banned = {1, 2, 3};
  std::vector<SampleRow> rows(2);
  rows[0].banned_ids = banned;
  rows[0].ban_until_offset = 2;
  rows[1].num_forced = 2;
  PackedRows packed;
  SampleProblem problem;
  packed.Pack(rows, /*offset=*/1);
  packed.PointTo(packed.bytes().data(), problem);
  EXPECT_EQ(problem.rows[0].banned_end - problem.rows[0].banned_begin, 3);
  EXPECT_EQ(problem.banned_ids[2], 3);
  EXPECT_EQ(problem.rows[1].is_forced, 1);
  packed.Pack(rows, /*offset=*/2);
  packed.PointTo(packed.bytes().data(), problem);
  EXPECT_EQ(problem.rows[0].banned_end, problem.rows[0].banned_begin);
  EXPECT_EQ(problem.rows[1].is_forced, 0);
}

}  // namespace
}  // namespace blockserve::cuda
