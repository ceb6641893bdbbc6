#include "parallel/nccl/row_moves.h"

#include <gtest/gtest.h>

#include <vector>

namespace blockserve {
namespace {

std::vector<RowMove> Moves(int64_t num_rows, size_t row_length, int size) {
  std::vector<RowMove> moves;
  ForEachOwner(num_rows, row_length, size,
               [&](const RowMove& move) { moves.push_back(move); });
  return moves;
}

TEST(RowMovesTest, UnevenRowsGoToTheirOwners) {
  EXPECT_EQ(Moves(5, 10, 3),
            (std::vector<RowMove>{{0, 0, 20}, {1, 20, 20}, {2, 40, 10}}));
}

TEST(RowMovesTest, RanksWithoutRowsAreLeftOut) {
  EXPECT_EQ(Moves(2, 4, 4), (std::vector<RowMove>{{0, 0, 4}, {1, 4, 4}}));
  EXPECT_TRUE(Moves(0, 4, 4).empty());
}

// What an in-place ncclReduceScatter and ncclAllGather take for granted.
TEST(RowMovesTest, EvenRowsLieAtMultiplesOfTheShare) {
  for (const int size : {1, 2, 3, 8}) {
    const int64_t num_rows = 4 * size;
    ASSERT_TRUE(RowsDivide(num_rows, size));
    for (int rank = 0; rank < size; ++rank) {
      const RowMove own = MoveOf(num_rows, 7, rank, size);
      EXPECT_EQ(own.count, 28u);
      EXPECT_EQ(own.offset, static_cast<size_t>(rank) * 28);
    }
  }
  EXPECT_FALSE(RowsDivide(5, 2));
}

TEST(RowMovesTest, CoverEveryRowOnce) {
  for (int size = 1; size <= 9; ++size) {
    for (int64_t num_rows = 0; num_rows <= 20; ++num_rows) {
      size_t covered = 0;
      for (const RowMove& move : Moves(num_rows, 3, size)) {
        EXPECT_EQ(move.offset, covered);
        covered += move.count;
      }
      EXPECT_EQ(covered, static_cast<size_t>(num_rows) * 3);
    }
  }
}

}  // namespace
}  // namespace blockserve
