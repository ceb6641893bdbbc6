#include "parallel/api/shard.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace blockserve {
namespace {

// Ranges in rank order cover [0, count) without a gap.
template <typename RangeOf>
void ExpectCovers(int64_t count, int size, const RangeOf& range_of) {
  int64_t next = 0;
  for (int rank = 0; rank < size; ++rank) {
    const ShardRange range = range_of(rank);
    EXPECT_EQ(range.begin, next);
    EXPECT_GE(range.size(), 0);
    next = range.end;
  }
  EXPECT_EQ(next, count);
}

TEST(ShardTest, DealsEverythingToWithinOne) {
  for (int64_t count : {0, 1, 2, 3, 7, 12, 64, 1000}) {
    for (int size : {1, 2, 3, 4, 5, 8, 16}) {
      ExpectCovers(count, size,
                   [&](int rank) { return Deal(count, rank, size); });
      for (int rank = 0; rank < size; ++rank) {
        const int64_t share = Deal(count, rank, size).size();
        EXPECT_GE(share, count / size);
        EXPECT_LE(share, (count + size - 1) / size);
      }
    }
  }
}

TEST(ShardTest, TheFirstRanksHaveTheMore) {
  EXPECT_EQ(HeadsOf(12, 0, 5), (ShardRange{0, 3}));
  EXPECT_EQ(HeadsOf(12, 1, 5), (ShardRange{3, 6}));
  EXPECT_EQ(HeadsOf(12, 2, 5), (ShardRange{6, 8}));
  EXPECT_EQ(HeadsOf(12, 4, 5), (ShardRange{10, 12}));
}

TEST(ShardTest, RanksBeyondTheHeadsHaveNone) {
  EXPECT_EQ(HeadsOf(2, 1, 4).size(), 1);
  EXPECT_EQ(HeadsOf(2, 2, 4), (ShardRange{2, 2}));
  EXPECT_EQ(HeadsOf(2, 3, 4), (ShardRange{2, 2}));
}

TEST(ShardTest, FfnColumnsComeInGranules) {
  EXPECT_EQ(FfnColumnsOf(3072, 0, 2), (ShardRange{0, 1536}));
  EXPECT_EQ(FfnColumnsOf(3072, 1, 5), (ShardRange{640, 1248}));
  for (int size : {1, 2, 3, 4, 7}) {
    ExpectCovers(3072, size,
                 [&](int rank) { return FfnColumnsOf(3072, rank, size); });
    for (int rank = 0; rank < size; ++rank) {
      EXPECT_EQ(FfnColumnsOf(3072, rank, size).begin % 32, 0);
    }
  }
}

TEST(ShardTest, ASmallFfnIsDealtByColumn) {
  EXPECT_EQ(FfnColumnsOf(64, 1, 4), (ShardRange{16, 32}));  // two granules
  EXPECT_EQ(FfnColumnsOf(48, 1, 2), (ShardRange{24, 48}));  // no whole ones
  for (int size : {1, 2, 3, 4, 5}) {
    for (int rank = 0; rank < size; ++rank) {
      EXPECT_GE(FfnColumnsOf(5, rank, size).size(), 1);
    }
  }
}

}  // namespace
}  // namespace blockserve
