#include "parallel/host/rank_order_sum.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace blockserve {
namespace {

std::vector<std::vector<float>> RandomSources(int size, int64_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> sources(size, std::vector<float>(count));
  for (auto& source : sources) {
    for (float& value : source) value = normal(generator);
  }
  return sources;
}

std::vector<float> PlainSum(const std::vector<std::vector<float>>& sources) {
  std::vector<float> sum = sources[0];
  for (size_t rank = 1; rank < sources.size(); ++rank) {
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += sources[rank][i];
  }
  return sum;
}

std::vector<const float*> Pointers(
    const std::vector<std::vector<float>>& sources) {
  std::vector<const float*> pointers;
  for (const auto& source : sources) pointers.push_back(source.data());
  return pointers;
}

TEST(RankOrderSumTest, AddsInRankOrder) {
  for (int size : {1, 2, 3, 5}) {
    for (int64_t count : {0, 1, 15, 512, 513, 2000}) {
      const auto sources = RandomSources(size, count);
      std::vector<float> sum(count, -1.0f);
      RankOrderSum(Pointers(sources), count, sum.data());
      EXPECT_EQ(sum, PlainSum(sources)) << size << " x " << count;
    }
  }
}

TEST(RankOrderSumTest, MayWriteOverASource) {
  for (int target : {0, 1, 2}) {
    auto sources = RandomSources(3, 1300);
    const std::vector<float> expected = PlainSum(sources);
    RankOrderSum(Pointers(sources), 1300, sources[target].data());
    EXPECT_EQ(sources[target], expected);
  }
}

}  // namespace
}  // namespace blockserve
