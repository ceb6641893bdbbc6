#include "runtime/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>

namespace blockserve {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers published with Random123 for philox4x32-10.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                       {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, SamplingWordsUseAllOfSeedPositionAndGroup) {
  const Words words = SamplingWords(1, 2, 3);
  EXPECT_EQ(SamplingWords(1, 2, 3), words);
  EXPECT_NE(SamplingWords(1 + (uint64_t{1} << 32), 2, 3), words);
  EXPECT_NE(SamplingWords(2, 2, 3), words);
  EXPECT_NE(SamplingWords(1, 2 + (uint64_t{1} << 32), 3), words);
  EXPECT_NE(SamplingWords(1, 3, 3), words);
  EXPECT_NE(SamplingWords(1, 2, 4), words);
  // The layout is part of what a seed means: it must not change.
  EXPECT_EQ(SamplingWords(0, 0, 0), Philox4x32({0, 0, 0, 0}, {0, 0}));
  EXPECT_EQ(SamplingWords(0x500000006, 0x300000002, 1),
            Philox4x32({1, 2, 3, 0}, {6, 5}));
}

TEST(PhiloxTest, GumbelNoiseIsFiniteAndGrowsWithTheWord) {
  float previous = GumbelFromWord(0);
  EXPECT_NEAR(previous, -2.8, 0.1);
  for (uint64_t word = 0; word <= 0xffffffff; word += 0xffffff) {
    const float noise = GumbelFromWord(static_cast<uint32_t>(word));
    EXPECT_TRUE(std::isfinite(noise)) << word;
    EXPECT_GE(noise, previous) << word;
    previous = noise;
  }
  EXPECT_TRUE(std::isfinite(GumbelFromWord(0xffffffff)));
  EXPECT_NEAR(GumbelFromWord(0x80000000), -std::log(std::log(2.0)), 1e-5);
}

TEST(PhiloxTest, GumbelNoiseHasItsMeanAndVariance) {
  constexpr int kGroups = 50000;
  double sum = 0.0;
  double sum_of_squares = 0.0;
  for (int group = 0; group < kGroups; ++group) {
    for (uint32_t word : SamplingWords(7, 11, group)) {
      const double noise = GumbelFromWord(word);
      sum += noise;
      sum_of_squares += noise * noise;
    }
  }
  const double mean = sum / (4 * kGroups);
  // Euler's constant and pi^2 / 6; five standard errors of 200000 numbers.
  EXPECT_NEAR(mean, 0.5772156649, 0.015);
  EXPECT_NEAR(sum_of_squares / (4 * kGroups) - mean * mean, 1.6449340668, 0.05);
}

}  // namespace
}  // namespace blockserve
