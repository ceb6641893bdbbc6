#include "kernels/cpu/vocabulary_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "runtime/base/philox.h"

namespace blockserve::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> RandomLogits(int count, float deviation, int seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(generator);
  return logits;
}

// With ties: few different values, -infinity among them.
std::vector<float> TiedLogits(int count, int seed) {
  std::mt19937 generator(seed);
  std::vector<float> logits(count);
  for (float& logit : logits) {
    const int value = static_cast<int>(generator() % 12);
    logit = value == 0 ? -kInfinity : static_cast<float>(value);
  }
  return logits;
}

std::vector<TokenKey> SortedKeys(const std::vector<float>& logits) {
  std::vector<TokenKey> keys;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] == -kInfinity) continue;
    keys.push_back(KeyOf(logits[id], static_cast<int32_t>(id)));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

TEST(TokenKeyTest, OrdersByLogitThenId) {
  const std::vector<float> descending = {kInfinity,
                                         3.0f,
                                         1e-40f,
                                         0.0f,
                                         -1e-40f,
                                         -2.0f,
                                         std::numeric_limits<float>::lowest(),
                                         -kInfinity};
  for (size_t i = 0; i < descending.size(); ++i) {
    EXPECT_EQ(LogitOf(KeyOf(descending[i], 7)), descending[i]);
    EXPECT_EQ(IdOf(KeyOf(descending[i], 7)), 7);
    EXPECT_LT(KeyOf(descending[i], 7), KeyOf(descending[i], 8));
    if (i == 0) continue;
    EXPECT_LT(KeyOf(descending[i - 1], 9), KeyOf(descending[i], 1));
  }
  EXPECT_EQ(KeyOf(-0.0f, 3), KeyOf(0.0f, 3));
}

TEST(FindLargestTest, TakesTheLowestIdOnATie) {
  for (int count : {1, 2, 7, 16, 33, 1000}) {
    const std::vector<float> logits = TiedLogits(count, count);
    const std::vector<TokenKey> keys = SortedKeys(logits);
    const LargestLogit largest = FindLargest(logits);
    EXPECT_TRUE(largest.valid);
    EXPECT_EQ(largest.id, keys.empty() ? -1 : IdOf(keys[0])) << count;
  }
}

TEST(FindLargestTest, SeesNanAndInfinityInEveryLane) {
  for (int bad = 0; bad < 37; ++bad) {
    for (float value : {kNaN, kInfinity}) {
      std::vector<float> logits(37, 1.0f);
      logits[bad] = value;
      EXPECT_FALSE(FindLargest(logits).valid) << bad << " " << value;
    }
  }
}

TEST(CollectTest, FindsWhatSortingFinds) {
  for (int count : {1, 5, 40, 5000}) {
    for (const auto& logits :
         {TiedLogits(count, 3), RandomLogits(count, 2.0f, 4)}) {
      const std::vector<TokenKey> sorted = SortedKeys(logits);
      std::vector<TokenKey> keys(logits.size() + kKeySlack);
      for (int64_t best : {1, 3, 50, 1500, 5000}) {
        const int64_t found = CollectBest(logits, best, keys.data());
        ASSERT_EQ(found, std::min<int64_t>(best, sorted.size()));
        std::sort(keys.begin(), keys.begin() + found);
        EXPECT_TRUE(
            std::equal(keys.begin(), keys.begin() + found, sorted.begin()));
      }
    }
  }
}

TEST(MassBucketsTest, SplitTheVocabularyByFallingProbability) {
  for (const auto& logits : {TiedLogits(777, 3), RandomLogits(5000, 2.0f, 4)}) {
    const LargestLogit largest = FindLargest(logits);
    const MassBuckets buckets = {
        .share = {.largest = largest.logit, .temperature = 0.7f},
        .width = 0.01f};
    std::vector<double> masses(MassBuckets::kCount);
    AddMasses(logits, buckets, masses.data());
    std::vector<TokenKey> joined;
    std::vector<TokenKey> keys(logits.size() + kKeySlack);
    for (int bucket = 0; bucket < MassBuckets::kCount; ++bucket) {
      const int64_t found = CollectBucket(logits, buckets, bucket, keys.data());
      double mass = 0.0;
      for (int64_t i = 0; i < found; ++i) {
        mass += std::exp((LogitOf(keys[i]) - largest.logit) / 0.7);
      }
      if (bucket < MassBuckets::kCount - 1) {
        EXPECT_NEAR(masses[bucket], mass, 1e-5 * mass);
      }
      std::sort(keys.begin(), keys.begin() + found);
      joined.insert(joined.end(), keys.begin(), keys.begin() + found);
    }
    EXPECT_EQ(joined, SortedKeys(logits));
  }
}

TEST(SumOfSharesTest, AgreesWithDouble) {
  const std::vector<float> logits = RandomLogits(5003, 4.0f, 5);
  const LargestLogit largest = FindLargest(logits);
  for (float temperature : {0.3f, 1.0f, 2.0f}) {
    double expected = 0.0;
    for (float logit : logits) {
      expected +=
          std::exp((static_cast<double>(logit) - largest.logit) / temperature);
    }
    EXPECT_NEAR(SumOfShares(logits, {largest.logit, temperature}), expected,
                2e-6 * expected);
  }
}

// The definition, one id after the other.
int32_t DrawOneByOne(const std::vector<float>& logits, const Draw& draw) {
  const TokenKey last = KeyOf(draw.last_logit, draw.last_id);
  int32_t winner = -1;
  double best = -kInfinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (logits[i] == -kInfinity || KeyOf(logits[i], id) > last) continue;
    const double score =
        (static_cast<double>(logits[i]) - draw.share.largest) /
            draw.share.temperature +
        GumbelFromWord(SamplingWords(draw.seed, draw.position, id / 4)[id % 4]);
    if (score > best) {
      best = score;
      winner = id;
    }
  }
  return winner;
}

TEST(DrawTokenTest, TakesWhatTheDefinitionTakes) {
  for (int count : {1, 3, 30, 1001}) {
    for (int trial = 0; trial < 60; ++trial) {
      const auto logits = RandomLogits(count, 0.1f * trial, trial);
      const LargestLogit largest = FindLargest(logits);
      Draw draw;
      draw.share.largest = largest.logit;
      draw.largest_id = largest.id;
      draw.share.temperature = 0.2f + 0.05f * trial;
      draw.seed = 0x123456789abcdefull * (trial + 1);
      draw.position = (uint64_t{1} << 33) + trial;
      draw.last_id = std::numeric_limits<int32_t>::max();
      EXPECT_EQ(DrawToken(logits, draw), DrawOneByOne(logits, draw)) << trial;
    }
  }
}

TEST(DrawTokenTest, StopsAtTheLastKey) {
  const std::vector<float> logits = {1, 2, 2, 2, 0, 1};
  Draw draw;
  draw.share.largest = 2.0f;
  draw.largest_id = 1;
  draw.last_logit = 2.0f;
  draw.last_id = 2;
  std::vector<int> counts(logits.size());
  for (draw.position = 0; draw.position < 200; ++draw.position) {
    ++counts[DrawToken(logits, draw)];
  }
  EXPECT_EQ(counts[1] + counts[2], 200);
  EXPECT_GT(counts[1], 60);
  EXPECT_GT(counts[2], 60);
}

TEST(DrawTokenTest, NoiseOfTheLargestWordIsFinite) {
  EXPECT_LT(GumbelFromWord(0xffffffffu), 16.7f);
  EXPECT_GT(GumbelFromWord(0), -2.9f);
}

}  // namespace
}  // namespace blockserve::cpu
