#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {
namespace {

struct LocalCase {
  std::string name;
  int64_t rows = 3;
  int num_heads = 2;
  int head_dim = 32;
  int max_length = 6;
  std::vector<int> steps = {2, 1, 1, 1};  // num_queries of each call
  bool causal = true;
  int window = 0;
  int rotary_dim = 0;
  bool mask = false;
  bool bias = false;
};

std::vector<LocalCase> Cases() {
  std::vector<LocalCase> cases = {
      {.name = "token decoder of the paper, r = 2"},
      {.name = "one position", .max_length = 1, .steps = {1}},
      {.name = "one row", .rows = 1},
      {.name = "many rows", .rows = 300},
      {.name = "all at once", .steps = {6}},
      {.name = "one by one", .steps = {1, 1, 1, 1, 1, 1}},
      {.name = "cache longer than needed", .max_length = 23},
      {.name = "rotary", .rotary_dim = 8},
      {.name = "full rotary, many rows", .rows = 70, .rotary_dim = 32},
      {.name = "mask", .rows = 9, .mask = true},
      {.name = "bias", .bias = true},
      {.name = "window", .steps = {1, 2, 3}, .window = 2},
      {.name = "window of one", .window = 1},
      {.name = "everything",
       .rows = 33,
       .max_length = 9,
       .window = 3,
       .rotary_dim = 16,
       .mask = true,
       .bias = true},
      {.name = "both ways", .steps = {6}, .causal = false},
      {.name = "both ways, mask",
       .rows = 9,
       .steps = {5},
       .causal = false,
       .mask = true},
      {.name = "both ways, everything",
       .max_length = 7,
       .steps = {5},
       .causal = false,
       .window = 2,
       .rotary_dim = 4,
       .mask = true,
       .bias = true},
      {.name = "long block", .rows = 4, .max_length = 70, .steps = {33, 31, 6}},
  };
  for (const int head_dim : {1, 8, 16, 20, 33, 64, 80, 128, 256}) {
    cases.push_back({.name = "head_dim " + std::to_string(head_dim),
                     .num_heads = 3,
                     .head_dim = head_dim});
  }
  return cases;
}

}  // namespace

class LocalAttentionConformance : public OpsConformanceTest {
 protected:
  void Compare(const LocalCase& c);
};

void LocalAttentionConformance::Compare(const LocalCase& c) {
  const std::array<void*, 2> caches = Raw([&](Ops& ops) {
    return ops.LocalKvBytes(c.rows, c.num_heads, c.head_dim, c.max_length);
  });
  std::vector<float> table(c.max_length * c.rotary_dim);
  for (size_t i = 0; i < table.size(); ++i) {
    const int64_t position = i / c.rotary_dim;
    const int64_t half = c.rotary_dim / 2;
    const int64_t k = i % c.rotary_dim;
    const double angle = position * std::pow(0.3, k % half);
    table[i] = static_cast<float>(k < half ? std::cos(angle) : std::sin(angle));
  }
  const Twin rotary = c.rotary_dim > 0
                          ? MakeFloat({c.max_length, c.rotary_dim}, table)
                          : Twin();
  std::vector<uint8_t> mask(c.rows * c.max_length);
  for (uint8_t& keep : mask) keep = RandomInt(3) > 0 ? 1 + RandomInt(255) : 0;
  const Twin key_mask =
      c.mask ? MakeBytes({c.rows, c.max_length}, mask) : Twin();
  const Twin bias =
      c.bias ? MakeFloat({c.num_heads, c.max_length, c.max_length},
                         Random(c.num_heads * c.max_length * c.max_length))
             : Twin();
  int past_length = 0;
  for (const int num_queries : c.steps) {
    SCOPED_TRACE(testing::Message() << c.name << ", from " << past_length);
    std::vector<int32_t> where;
    for (int i = 0; i < num_queries; ++i) where.push_back(past_length + i);
    const Twin positions =
        c.rotary_dim > 0 ? MakeInts({num_queries}, where) : Twin();
    const int64_t num_positions = c.rows * num_queries;
    const Twin qkv =
        MakeT({num_positions, c.num_heads, 3, c.head_dim},
              Random(num_positions * c.num_heads * 3 * c.head_dim));
    const Twin output = OutputT({num_positions, c.num_heads, c.head_dim});
    OnBothSides([&](const Side& side) {
      side->LocalAttention(
          {.qkv = side(qkv),
           .num_queries = num_queries,
           .past_length = past_length,
           .max_length = c.max_length,
           .causal = c.causal,
           .window = c.window,
           .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
           .rotary = side(rotary),
           .positions = side(positions),
           .key_mask = side(key_mask),
           .bias = side(bias),
           .cache = c.causal ? caches[side.index()] : nullptr,
           .output = side(output)});
    });
    // As for paged attention; rotation rounds queries and keys to bf16, 2^-9
    // of each term of a score.
    const bool rounds_twice = is_bf16() && c.rotary_dim > 0;
    ExpectNear(output,
               {.absolute = rounds_twice ? 8e-3 : 1e-5, .relative = 1e-5});
    past_length += num_queries;
  }
}

TEST_P(LocalAttentionConformance, EveryVariant) {
  for (const LocalCase& c : Cases()) Compare(c);
}

TEST_P(LocalAttentionConformance, RowsThatSeeNothingAreZero) {
  const Twin qkv = MakeT({4, 1, 3, 16}, Random(4 * 3 * 16));
  const Twin key_mask = MakeBytes({2, 2}, {0, 0, 0, 1});
  const Twin output = OutputT({4, 1, 16});
  const std::array<void*, 2> caches =
      Raw([](Ops& ops) { return ops.LocalKvBytes(2, 1, 16, 2); });
  OnBothSides([&](const Side& side) {
    side->LocalAttention({.qkv = side(qkv),
                          .num_queries = 2,
                          .max_length = 2,
                          .key_mask = side(key_mask),
                          .cache = caches[side.index()],
                          .output = side(output)});
  });
  std::vector<float> expected(4 * 16, 0.0f);
  // Position 1 of row 1 sees itself only: its value.
  const std::vector<float> values = Read(qkv, 1);
  std::copy(values.end() - 16, values.end(), expected.end() - 16);
  ExpectValues(output, expected, {.absolute = 1e-6});
}

// The cache of the block before is never looked at: all its bits are set.
TEST_P(LocalAttentionConformance, StaleCacheIsNotRead) {
  const std::array<void*, 2> caches =
      Raw([](Ops& ops) { return ops.LocalKvBytes(5, 2, 32, 8); });
  OnBothSides([&](const Side& side) {
    const std::vector<uint8_t> nan(side->LocalKvBytes(5, 2, 32, 8), 0xff);
    side->CopyToDevice(nan.data(), caches[side.index()], nan.size());
  });
  int past_length = 0;
  for (const int num_queries : {3, 1, 2}) {
    const Twin qkv = MakeT({5 * num_queries, 2, 3, 32},
                           Random(5 * num_queries * 2 * 3 * 32));
    const Twin output = OutputT({5 * num_queries, 2, 32});
    OnBothSides([&](const Side& side) {
      side->LocalAttention({.qkv = side(qkv),
                            .num_queries = num_queries,
                            .past_length = past_length,
                            .max_length = 8,
                            .scale = 0.2f,
                            .cache = caches[side.index()],
                            .output = side(output)});
    });
    ExpectNear(output, {.absolute = 1e-5, .relative = 1e-5});
    past_length += num_queries;
  }
}

// A broken request must be noticed, and must not spoil its neighbours.
TEST_P(LocalAttentionConformance, NanStaysInItsRow) {
  constexpr int kHeadDim = 32;
  for (const int part : {0, 1, 2}) {
    SCOPED_TRACE(part);
    std::vector<float> values = Random(9 * 3 * kHeadDim);
    // Position 1 of row 1 of three rows of three positions.
    values[(4 * 3 + part) * kHeadDim + 5] =
        std::numeric_limits<float>::quiet_NaN();
    const Twin qkv = MakeT({9, 1, 3, kHeadDim}, values);
    const Twin output = OutputT({9, 1, kHeadDim});
    const std::array<void*, 2> caches =
        Raw([](Ops& ops) { return ops.LocalKvBytes(3, 1, kHeadDim, 3); });
    OnBothSides([&](const Side& side) {
      side->LocalAttention({.qkv = side(qkv),
                            .num_queries = 3,
                            .max_length = 3,
                            .cache = caches[side.index()],
                            .output = side(output)});
    });
    const std::vector<float> got = Read(output, 0);
    const std::vector<float> want = Read(output, 1);
    EXPECT_TRUE(std::isnan(got[4 * kHeadDim + 5]));
    EXPECT_TRUE(std::isnan(want[4 * kHeadDim + 5]));
    for (int i = 0; i < 9 * kHeadDim; ++i) {
      if (i / kHeadDim / 3 == 1) continue;
      ASSERT_NEAR(got[i], want[i], is_bf16() ? 1e-2 : 1e-5);
    }
  }
}

TEST_P(LocalAttentionConformance, LargeScores) {
  const Twin qkv = MakeT({12, 2, 3, 64}, Random(12 * 2 * 3 * 64, 4.0f));
  const Twin output = OutputT({12, 2, 64});
  OnBothSides([&](const Side& side) {
    side->LocalAttention({.qkv = side(qkv),
                          .num_queries = 6,
                          .max_length = 6,
                          .causal = false,
                          .scale = 30.0f,
                          .output = side(output)});
  });
  ExpectNear(output, {.absolute = 1e-4, .relative = 1e-4});
}

TEST_P(LocalAttentionConformance, CrossAttention) {
  for (const int64_t rows : {1, 3, 65}) {
    for (const int num_queries : {1, 5}) {
      for (const int64_t memory_length : {1, 4, 17}) {
        for (const int head_dim : {8, 20, 32, 64, 128}) {
          SCOPED_TRACE(testing::Message()
                       << rows << " x " << num_queries << " over "
                       << memory_length << ", head_dim " << head_dim);
          const int64_t num_positions = rows * num_queries;
          const Twin query = MakeT({num_positions, 2, head_dim},
                                   Random(num_positions * 2 * head_dim));
          const Twin memory =
              MakeT({rows, memory_length, 2, 2, head_dim},
                    Random(rows * memory_length * 2 * 2 * head_dim));
          const Twin output = OutputT({num_positions, 2, head_dim});
          OnBothSides([&](const Side& side) {
            side->CrossAttention({.query = side(query),
                                  .memory = side(memory),
                                  .num_queries = num_queries,
                                  .scale = 0.3f,
                                  .output = side(output)});
          });
          ExpectNear(output, {.absolute = 1e-5, .relative = 1e-5});
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, LocalAttentionConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
