// SampleTokens at a temperature: which tokens can come, how often they do, and
// that a draw depends on seed and position only.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "kernels/conformance/sampling_fixture.h"
#include "runtime/base/philox.h"

namespace blockserve {
namespace {

SampleRow Drawn(uint64_t seed, uint64_t position = 0) {
  SampleRow row;
  row.temperature = 1.0f;
  row.seed = seed;
  row.position = position;
  return row;
}

// How far `id` is behind the best in logit + noise, in double.
double Shortfall(const std::vector<float>& logits, const SampleRow& row,
                 int32_t id) {
  const auto score = [&](int32_t i) {
    const uint32_t word = SamplingWords(row.seed, row.position, i / 4)[i % 4];
    return static_cast<double>(logits[i]) / row.temperature +
           GumbelFromWord(word);
  };
  double best = score(0);
  for (size_t i = 1; i < logits.size(); ++i) best = std::max(best, score(i));
  return best - score(id);
}

}  // namespace

class DrawingConformance : public SamplingFixture {
 protected:
  // Tokens of `count` draws at positions 0, 1, ..., in batches.
  std::vector<int32_t> Draw(const std::vector<float>& logits, SampleRow row,
                            int count) {
    constexpr int kBatch = 100;
    std::vector<int32_t> tokens;
    while (static_cast<int>(tokens.size()) < count) {
      std::vector<SampleRow> rows(kBatch, row);
      for (int i = 0; i < kBatch; ++i) rows[i].position = tokens.size() + i;
      const SampleResult result = Sample(Logits(kBatch, logits), rows);
      tokens.insert(tokens.end(), result.tokens.begin(), result.tokens.end());
    }
    return tokens;
  }

  std::set<int32_t> Drawable(const std::vector<float>& logits, SampleRow row) {
    const std::vector<int32_t> tokens = Draw(logits, row, 300);
    return {tokens.begin(), tokens.end()};
  }
};

// A single id of a large vocabulary must never be lost or favoured, so every
// draw is compared, not only their distribution.
TEST_P(DrawingConformance, TakesTheLargestLogitPlusNoise) {
  for (const int vocab_size : {1, 3, 4, 17, 1003}) {
    for (const float temperature : {0.5f, 1.0f, 1.7f}) {
      SCOPED_TRACE(testing::Message() << vocab_size << " at " << temperature);
      Logits logits;
      std::vector<SampleRow> rows;
      for (int i = 0; i < 50; ++i) {
        logits.push_back(Random(vocab_size, 4.0f));
        rows.push_back(Drawn(0x123456789abcdefu * i, (1ull << 33) + i));
        rows.back().temperature = temperature;
      }
      const SampleResult result = SampleBoth(logits, rows)[0];
      for (int i = 0; i < 50; ++i) {
        ASSERT_GE(result.tokens[i], 0);
        ASSERT_LT(result.tokens[i], vocab_size);
        // Noise of up to 16 in fp32, logarithms to some units in the last
        // place.
        EXPECT_LE(Shortfall(logits[i], rows[i], result.tokens[i]), 2e-5);
      }
    }
  }
}

TEST_P(DrawingConformance, DoesNotDependOnTheBatch) {
  Logits logits;
  std::vector<SampleRow> rows;
  for (int i = 0; i < 33; ++i) {
    logits.push_back(Random(200, 2.0f));
    rows.push_back(Drawn(i, 7 * i));
    if (i % 3 == 1) rows.back().top_k = 20;
    if (i % 3 == 2) rows.back().top_p = 0.8f;
  }
  const std::vector<int32_t> together = Sample(logits, rows).tokens;
  std::vector<int32_t> reversed =
      Sample({logits.rbegin(), logits.rend()}, {rows.rbegin(), rows.rend()})
          .tokens;
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(together, reversed);
  for (int i = 0; i < 33; ++i) {
    EXPECT_EQ(SampleOne(logits[i], rows[i]), together[i]);
  }
}

// Offset 3 of a block at position 5 is position 8: however long the blocks.
TEST_P(DrawingConformance, PositionIsThatOfTheToken) {
  const std::vector<float> logits = Random(500);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const SampleResult in_block = Sample(
        {logits}, {Drawn(seed, 5)},
        {.offset = 3, .tokens_per_step = 4, .tokens = {1, 2, 3, kUnwritten}});
    EXPECT_EQ(in_block.tokens[3], SampleOne(logits, Drawn(seed, 8)));
  }
}

TEST_P(DrawingConformance, SeedsAndPositionsDiffer) {
  const std::vector<float> logits(1000, 0.0f);
  std::set<int32_t> tokens;
  for (const uint64_t seed : {0ull, 1ull, 1ull << 32, ~0ull}) {
    for (const uint64_t position : {0ull, 1ull, 1ull << 32, 1ull << 40}) {
      tokens.insert(SampleOne(logits, Drawn(seed, position)));
    }
  }
  // 16 draws out of 1000; two alike are possible, four are not.
  EXPECT_GE(tokens.size(), 13u);
}

TEST_P(DrawingConformance, FollowsTheSoftmax) {
  // Multiples of 1/4, exact in bf16.
  const std::vector<float> logits = {0.0f, 1.0f,  -1.0f, 0.5f,
                                     2.0f, -2.0f, 0.25f, 1.5f};
  for (const float temperature : {1.0f, 0.5f}) {
    constexpr int kDraws = 20000;
    SampleRow row = Drawn(/*seed=*/42);
    row.temperature = temperature;
    std::vector<int> counts(logits.size());
    for (int32_t token : Draw(logits, row, kDraws)) ++counts.at(token);
    double sum = 0.0;
    for (float logit : logits) sum += std::exp(logit / temperature);
    double chi_square = 0.0;
    for (size_t id = 0; id < logits.size(); ++id) {
      const double expected = kDraws * std::exp(logits[id] / temperature) / sum;
      chi_square +=
          (counts[id] - expected) * (counts[id] - expected) / expected;
    }
    // 7 degrees of freedom: above 24.3 once in a thousand seeds.
    EXPECT_LT(chi_square, 24.3);
  }
}

TEST_P(DrawingConformance, TopKKeepsThatMany) {
  SampleRow row = Drawn(1);
  const std::vector<float> logits = {1, 2, 1.5, 0.5, 2.25, 1.75};
  row.top_k = 3;
  EXPECT_EQ(Drawable(logits, row), (std::set<int32_t>{1, 4, 5}));
  row.top_k = 1;
  EXPECT_EQ(Drawable(logits, row), (std::set<int32_t>{4}));
  for (const int off : {0, -1, 6, 1000}) {
    row.top_k = off;
    EXPECT_EQ(Drawable(logits, row).size(), 6u);
  }
}

TEST_P(DrawingConformance, TopKKeepsTheLowestIdsOfATie) {
  SampleRow row = Drawn(1);
  row.top_k = 3;
  EXPECT_EQ(Drawable({1, 2, 1, 1, 0, 1}, row), (std::set<int32_t>{0, 1, 2}));
  row.top_k = 5;
  EXPECT_EQ(Drawable(std::vector<float>(100, 1.0f), row),
            (std::set<int32_t>{0, 1, 2, 3, 4}));
}

TEST_P(DrawingConformance, TopPKeepsTheFewestThatReachIt) {
  const std::vector<float> logits = RoundedToT(LogitsOf({0.1, 0.4, 0.2, 0.3}));
  SampleRow row = Drawn(3);
  const auto kept = [&](float top_p) {
    row.top_p = top_p;
    return Drawable(logits, row);
  };
  EXPECT_EQ(kept(1e-6f), (std::set<int32_t>{1}));
  EXPECT_EQ(kept(0.35f), (std::set<int32_t>{1}));
  EXPECT_EQ(kept(0.45f), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(kept(0.75f), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(kept(0.95f).size(), 4u);
  EXPECT_EQ(kept(1.0f).size(), 4u);
}

TEST_P(DrawingConformance, TopPKeepsTheLowestIdsOfATie) {
  SampleRow row = Drawn(4);
  row.top_p = 0.375f;  // 1/4 is too little, 2/4 are enough
  EXPECT_EQ(Drawable({1, 1, 1, 1}, row), (std::set<int32_t>{0, 1}));
}

TEST_P(DrawingConformance, MinPKeepsWhatIsNotFarBehind) {
  const std::vector<float> logits = RoundedToT(LogitsOf({0.1, 0.4, 0.2, 0.3}));
  SampleRow row = Drawn(5);
  const auto kept = [&](float min_p) {
    row.min_p = min_p;
    return Drawable(logits, row);
  };
  EXPECT_EQ(kept(0.2f).size(), 4u);
  EXPECT_EQ(kept(0.4f), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(kept(0.6f), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(kept(1.0f), (std::set<int32_t>{1}));
}

// top_p looks at the probabilities among what top_k left: 0.4 of 0.7 reaches
// 0.5, 0.4 of 1 does not.
TEST_P(DrawingConformance, TopPComesAfterTopK) {
  const std::vector<float> logits = RoundedToT(LogitsOf({0.1, 0.4, 0.2, 0.3}));
  SampleRow row = Drawn(6);
  row.top_p = 0.5f;
  EXPECT_EQ(Drawable(logits, row), (std::set<int32_t>{1, 3}));
  row.top_k = 2;
  EXPECT_EQ(Drawable(logits, row), (std::set<int32_t>{1}));
}

// Divided by the temperature first: at 2 the probabilities are flatter.
TEST_P(DrawingConformance, LimitsApplyAfterTheTemperature) {
  const std::vector<float> logits = {4, 0, 0, 0};
  SampleRow row = Drawn(7);
  row.top_p = 0.9f;
  EXPECT_EQ(Drawable(logits, row).size(), 1u);  // 0.948 at temperature 1
  row.temperature = 2.0f;                       // 0.711, 0.096 three times
  EXPECT_EQ(Drawable(logits, row), (std::set<int32_t>{0, 1, 2}));
}

TEST_P(DrawingConformance, TinyTemperatureIsGreedy) {
  for (const float temperature : {1e-5f, 1e-30f, 1e-44f}) {
    SampleRow row = Drawn(8);
    row.temperature = temperature;
    EXPECT_EQ(Drawable({1, 3, 2.5, -100}, row), (std::set<int32_t>{1}));
    row.top_p = 0.9f;
    EXPECT_EQ(Drawable({1, 3, 2.5, -100}, row), (std::set<int32_t>{1}));
  }
}

TEST_P(DrawingConformance, BansAndPenaltiesReachTheDraw) {
  const std::vector<int32_t> banned = {2};
  const std::vector<int32_t> bias_ids = {0};
  const std::vector<float> bias_values = {-100.0f};
  SampleRow row = Drawn(9);
  row.banned_ids = banned;
  row.ban_until_offset = 1;
  row.bias_ids = bias_ids;
  row.bias_values = bias_values;
  EXPECT_EQ(Drawable({1, 1, 1, 1}, row), (std::set<int32_t>{1, 3}));
  row.top_k = 2;
  EXPECT_EQ(Drawable({1, 1, 1, 1}, row), (std::set<int32_t>{1, 3}));
}

// Everything at once, as the reference does it.
TEST_P(DrawingConformance, RandomParametersInOneBatch) {
  for (int trial = 0; trial < 8; ++trial) {
    const int vocab_size = 900 + RandomInt(200);
    std::vector<std::vector<int32_t>> ids(64);
    std::vector<std::vector<float>> biases(64);
    std::vector<std::vector<TokenCount>> histories(64);
    Logits logits;
    std::vector<SampleRow> rows;
    std::vector<int32_t> tokens;
    for (int i = 0; i < 64; ++i) {
      logits.push_back(Random(vocab_size, 5.0f));
      SampleRow row = Drawn(RandomInt(1000), RandomInt(1000));
      row.temperature = static_cast<float>(RandomInt(4)) / 2.0f;
      row.top_k = RandomInt(3) == 0 ? RandomInt(50) : 0;
      row.top_p = RandomInt(3) == 0 ? 0.3f + RandomInt(7) * 0.1f : 1.0f;
      row.min_p = RandomInt(3) == 0 ? RandomInt(10) * 0.01f : 0.0f;
      row.repetition_penalty = 1.0f + 0.25f * RandomInt(3);
      row.frequency_penalty = 0.5f * RandomInt(3);
      row.presence_penalty = 0.5f * RandomInt(3) - 0.5f;
      row.ban_until_offset = RandomInt(4);
      row.num_forced = RandomInt(4) == 0 ? RandomInt(4) : 0;
      row.num_logprobs = RandomInt(8) - 1;
      std::set<int32_t> seen;
      for (int k = RandomInt(12); k > 0; --k) {
        ids[i].push_back(RandomInt(vocab_size));
        biases[i].push_back(static_cast<float>(RandomInt(9)) - 4.0f);
        const int32_t id = RandomInt(vocab_size);
        if (!seen.insert(id).second) continue;
        histories[i].push_back({id, RandomInt(3), RandomInt(2) == 0});
      }
      row.banned_ids = ids[i];
      row.bias_ids = ids[i];
      row.bias_values = biases[i];
      row.history = histories[i];
      rows.push_back(row);
      for (int k = 0; k < 4; ++k) tokens.push_back(RandomInt(vocab_size));
    }
    const auto [got, want] = SampleBoth(
        logits, rows, {.offset = 2, .tokens_per_step = 4, .tokens = tokens});
    EXPECT_EQ(got.tokens, want.tokens);
    EXPECT_EQ(got.top_ids, want.top_ids);
    for (size_t i = 0; i < got.logprobs.size(); ++i) {
      if (std::isnan(want.logprobs[i])) {
        EXPECT_TRUE(std::isnan(got.logprobs[i]));
      } else {
        EXPECT_NEAR(got.logprobs[i], want.logprobs[i], 1e-5);
      }
    }
  }
}

TEST_P(DrawingConformance, NoRowsAreNoWork) {
  const Twin input = MakeT({0, 4}, {}, Room::kPaddedRows);
  const TwinMatrix head = Pack(Random(10 * 4), 10, 4);
  EXPECT_TRUE(SampleProjected(input, head, {})[0].tokens.empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, DrawingConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
