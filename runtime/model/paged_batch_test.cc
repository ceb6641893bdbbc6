#include "runtime/model/paged_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernels/reference/reference_ops.h"
#include "runtime/layers/scratch_allocator.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> Values(const TensorView& view) {
  const int32_t* data = view.as<int32_t>();
  return {data, data + view.num_elements()};
}

class PagedBatchTest : public ::testing::Test {
 protected:
  // Two tokens a unit, windows of 3 positions.
  PagedBatchTest() { EXPECT_TRUE(metadata_.Allocate(scratch_).ok()); }

  PagedPass Fill(const std::vector<SequenceChunk>& chunks) {
    batch_.Fill(chunks);
    metadata_.Upload(*ops_);
    EXPECT_TRUE(ops_->Synchronize().ok());
    return batch_.pass();
  }

  // `mask` has an entry per unit.
  SequenceChunk Chunk(int unit_begin, int cache_length,
                      const std::vector<uint8_t>& unit_mask, int num_outputs) {
    auto& mask = masks_.emplace_back();
    for (uint8_t value : unit_mask) {
      mask.push_back(0);
      mask.push_back(value);  // one token is enough for a unit to count
    }
    tokens_.emplace_back(mask.size(), 1);
    SequenceChunk chunk;
    chunk.tokens = tokens_.back();
    chunk.token_mask = mask;
    chunk.pages = pages_;
    chunk.unit_begin = unit_begin;
    chunk.cache_length = cache_length;
    chunk.num_outputs = num_outputs;
    return chunk;
  }

  std::unique_ptr<Ops> ops_ = CreateReferenceOps(DType::kFloat32);
  ScratchAllocator scratch_{*ops_};
  StepMetadata metadata_;
  PagedBatch batch_{{.max_units_per_step = 16,
                     .max_rows_per_step = 8,
                     .max_sequences_per_step = 4,
                     .max_units_per_sequence = 40,
                     .num_pages = 9},
                    /*tokens_per_unit=*/2,
                    /*window=*/3,
                    metadata_};
  const std::vector<int32_t> pages_ = {5, 2, 7};
  // What the chunks borrow.
  std::vector<std::vector<int32_t>> tokens_;
  std::vector<std::vector<uint8_t>> masks_;
};

TEST_F(PagedBatchTest, PlacesUnitsOfSeveralSequences) {
  const PagedPass pass = Fill({Chunk(15, 15, {1, 1, 1}, 1),
                               Chunk(0, 0, {1, 1}, 0), Chunk(1, 1, {1}, 1)});
  EXPECT_EQ(batch_.num_units(), 6);
  EXPECT_EQ(batch_.num_outputs(), 2);
  EXPECT_THAT(Values(pass.positions), ElementsAre(15, 16, 17, 0, 1, 1));
  EXPECT_THAT(Values(pass.slots), ElementsAre(5 * 16 + 15, 2 * 16, 2 * 16 + 1,
                                              5 * 16, 5 * 16 + 1, 5 * 16 + 1));
  EXPECT_THAT(Values(pass.rows.query_offsets), ElementsAre(0, 3, 5, 6));
  EXPECT_THAT(Values(pass.rows.key_begin), ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(Values(pass.rows.key_end), ElementsAre(16, 17, 18, 1, 2, 2));
  EXPECT_THAT(Values(pass.rows.window_key_begin),
              ElementsAre(13, 14, 15, 0, 0, 0));
  EXPECT_THAT(Values(pass.output_rows), ElementsAre(2, 5));
  EXPECT_THAT(Values(pass.outputs.query_offsets), ElementsAre(0, 1, 1, 2));
  EXPECT_THAT(Values(pass.outputs.key_end), ElementsAre(18, 2));
  EXPECT_THAT(Values(pass.outputs.window_key_begin), ElementsAre(15, 0));
  EXPECT_THAT(Values(pass.page_table.Rows(0, 1)), ElementsAre(5, 2, 0));
}

TEST_F(PagedBatchTest, UnitsWithoutTokensTakeAPositionButNoSlot) {
  const PagedPass pass = Fill({Chunk(0, 0, {0, 0, 1, 1, 0, 1}, 6)});
  EXPECT_THAT(Values(pass.positions), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(Values(pass.slots), ElementsAre(-1, -1, 80, 81, -1, 82));
  EXPECT_THAT(Values(pass.rows.key_end), ElementsAre(0, 0, 1, 2, 2, 3));
  // Position 5 sees positions 3 to 5: entries 1 and 2.
  EXPECT_THAT(Values(pass.rows.window_key_begin),
              ElementsAre(0, 0, 0, 0, 0, 1));
}

TEST_F(PagedBatchTest, WindowsCountPositionsAcrossLeadingPadding) {
  // Positions 0 and 1 had no token, 2 to 6 are entries 0 to 4.
  const PagedPass pass = Fill({Chunk(7, 5, {1, 0, 1}, 1)});
  EXPECT_THAT(Values(pass.slots), ElementsAre(85, -1, 86));
  EXPECT_THAT(Values(pass.rows.key_end), ElementsAre(6, 6, 7));
  // Position 7 sees 5 to 7, 8 sees 6 and 7, 9 sees 7 and 9.
  EXPECT_THAT(Values(pass.rows.window_key_begin), ElementsAre(3, 4, 5));
}

}  // namespace
}  // namespace blockserve
