#include "kernels/cuda/packed_rows.h"

#include <gtest/gtest.h>

#include <vector>

namespace blockserve::cuda {
namespace {

// Reads what was packed as the device does.
class Reader {
 public:
  explicit Reader(const PackedRows& packed) : bytes_(packed.bytes().data()) {}

  const DeviceSampleRow& row(int i) const {
    return List<DeviceSampleRow>(sizeof(SampleRowsHeader))[i];
  }
  const DeviceTokenCount* history() const {
    return List<DeviceTokenCount>(header().history);
  }
  const int32_t* bias_ids() const { return List<int32_t>(header().bias_ids); }
  const float* bias_values() const { return List<float>(header().bias_values); }
  const int32_t* banned_ids() const {
    return List<int32_t>(header().banned_ids);
  }

 private:
  const SampleRowsHeader& header() const {
    return *reinterpret_cast<const SampleRowsHeader*>(bytes_);
  }
  template <typename T>
  const T* List(size_t offset) const {
    return reinterpret_cast<const T*>(bytes_ + offset);
  }

  const std::byte* bytes_;
};

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
  packed.Pack(rows);
  const Reader reader(packed);

  EXPECT_EQ(reader.row(0).history_begin, 0);
  EXPECT_EQ(reader.row(0).history_end, 2);
  EXPECT_EQ(reader.row(1).history_begin, reader.row(1).history_end);
  EXPECT_EQ(reader.row(2).history_begin, 2);
  EXPECT_EQ(reader.row(2).history_end, 3);
  EXPECT_EQ(reader.history()[1].id, 4);
  EXPECT_EQ(reader.history()[1].in_prompt, 1);
  EXPECT_EQ(reader.history()[2].output_count, 2);
  EXPECT_EQ(reader.row(1).bias_begin, 0);
  EXPECT_EQ(reader.row(2).bias_begin, 2);
  EXPECT_EQ(reader.row(2).bias_end, 3);
  EXPECT_EQ(reader.bias_ids()[2], 7);
  EXPECT_EQ(reader.bias_values()[1], -1.0f);
  EXPECT_EQ(reader.row(2).position, 10u);
}

TEST(PackedRowsTest, HoldsForEveryColumnOfTheBlock) {
  const std::vector<int32_t> banned = {1, 2, 3};
  std::vector<SampleRow> rows(2);
  rows[0].banned_ids = banned;
  rows[0].ban_until_offset = 2;
  rows[1].num_forced = 3;
  PackedRows packed;
  packed.Pack(rows);
  const Reader reader(packed);
  EXPECT_EQ(reader.row(0).banned_end - reader.row(0).banned_begin, 3);
  EXPECT_EQ(reader.banned_ids()[2], 3);
  EXPECT_EQ(reader.row(0).ban_until_offset, 2);
  EXPECT_EQ(reader.row(1).banned_begin, reader.row(1).banned_end);
  EXPECT_EQ(reader.row(1).num_forced, 3);
}

}  // namespace
}  // namespace blockserve::cuda
