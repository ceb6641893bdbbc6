#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {
namespace {

// Softmax with an exponential good to some units in the last place, and sums
// over at most some hundred keys. In bf16 a key's weight may be rounded before
// it meets the value (2^-9 of it) and its exponential be as rough as 1e-4, so
// that the sum is off by that share of the largest |value| at most.
Tolerance ToleranceOf(bool is_bf16, float magnitude) {
  const double weights = is_bf16 ? (0x1p-9 + 1e-4) * magnitude : 0.0;
  return {.absolute = 1e-5 + weights, .relative = 1e-5};
}

// cos and sin of position / 10000^(2i / rotary_dim).
std::vector<float> RotaryTable(int64_t num_positions, int64_t rotary_dim) {
  std::vector<float> table;
  const int64_t half = rotary_dim / 2;
  for (int64_t position = 0; position < num_positions; ++position) {
    for (int64_t i = 0; i < rotary_dim; ++i) {
      const double angle =
          position * std::pow(10000.0, -2.0 * (i % half) / rotary_dim);
      table.push_back(i < half ? std::cos(angle) : std::sin(angle));
    }
  }
  return table;
}

struct KeyRange {
  int32_t begin, end;
};

// One sequence: how many keys it has, and which of them each query sees.
struct Sequence {
  int32_t num_keys = 0;
  std::vector<KeyRange> queries;

  bool IsSeen(int32_t key) const {
    return std::any_of(queries.begin(), queries.end(), [&](const KeyRange& q) {
      return key >= q.begin && key < q.end;
    });
  }
};

Sequence Causal(int32_t num_keys, int32_t num_queries) {
  Sequence sequence{num_keys, {}};
  for (int32_t i = num_keys - num_queries; i < num_keys; ++i) {
    sequence.queries.push_back({0, i + 1});
  }
  return sequence;
}

}  // namespace

class PagedAttentionConformance : public OpsConformanceTest {
 protected:
  // The pages of a layer, on both sides; num_pages of them are in use.
  struct Cache {
    std::array<KvLayer, 2> layers;
  };

  Cache MakeCache(int num_pages, int num_heads, int head_dim) {
    const std::array<void*, 2> data = Raw([&](Ops& ops) {
      return num_pages * ops.KvPageBytes(num_heads, head_dim);
    });
    Cache cache;
    for (int side = 0; side < 2; ++side) {
      cache.layers[side] = {data[side], num_pages, num_heads, head_dim};
    }
    return cache;
  }

  std::vector<int32_t> Shuffled(int count) {
    std::vector<int32_t> ids(count);
    std::iota(ids.begin(), ids.end(), 0);
    for (int i = count - 1; i > 0; --i)
      std::swap(ids[i], ids[RandomInt(i + 1)]);
    return ids;
  }

  Twin RandomQkv(int64_t rows, int num_heads, int head_dim,
                 float scale = 1.0f) {
    return MakeT({rows, num_heads, 3, head_dim},
                 Random(rows * num_heads * 3 * head_dim, scale));
  }

  void Store(const Cache& cache, const Twin& qkv, const Twin& slots) {
    OnBothSides([&](const Side& side) {
      side->RotaryStoreKv({.qkv = side(qkv),
                           .slots = side(slots),
                           .cache = cache.layers[side.index()]});
    });
  }

  // As a broken request leaves its pages behind: positions that nobody sees
  // must not matter.
  void FillWithNan(const Cache& cache) {
    const KvLayer& layer = cache.layers[0];
    const int64_t num_slots = int64_t{layer.num_pages} * kPageLength;
    std::vector<int32_t> slots(num_slots);
    std::iota(slots.begin(), slots.end(), 0);
    const std::vector<float> nan(
        num_slots * layer.num_heads * 3 * layer.head_dim,
        std::numeric_limits<float>::quiet_NaN());
    Store(cache, MakeT({num_slots, layer.num_heads, 3, layer.head_dim}, nan),
          MakeInts({num_slots}, slots));
  }

  // Stores random keys of all sequences over shuffled pages, lets random
  // queries attend, and compares.
  void StoreAttendAndCompare(const std::vector<Sequence>& sequences,
                             int num_heads, int head_dim, float scale,
                             float magnitude = 1.0f);
};

void PagedAttentionConformance::StoreAttendAndCompare(
    const std::vector<Sequence>& sequences, int num_heads, int head_dim,
    float scale, float magnitude) {
  int max_pages = 1;
  int num_pages = 3;  // some that no sequence has
  for (const Sequence& sequence : sequences) {
    const int pages = (sequence.num_keys + kPageLength - 1) / kPageLength;
    max_pages = std::max(max_pages, pages);
    num_pages += pages;
  }
  const std::vector<int32_t> free_pages = Shuffled(num_pages);
  size_t next_page = 0;
  int32_t page = 0;
  // Entries behind a sequence's last page are never read.
  std::vector<int32_t> page_table(sequences.size() * max_pages, -12345678);
  std::vector<int32_t> slots;
  std::vector<int32_t> offsets = {0};
  std::vector<int32_t> key_begin;
  std::vector<int32_t> key_end;
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (int k = 0; k < sequences[s].num_keys; ++k) {
      if (k % kPageLength == 0) page = free_pages[next_page++];
      const bool is_seen = sequences[s].IsSeen(k);
      // Entries of pages of which nothing is seen are never read.
      if (is_seen) page_table[s * max_pages + k / kPageLength] = page;
      // What is not seen stays NaN.
      slots.push_back(is_seen ? page * kPageLength + k % kPageLength : -1);
    }
    for (const KeyRange& range : sequences[s].queries) {
      key_begin.push_back(range.begin);
      key_end.push_back(range.end);
    }
    offsets.push_back(static_cast<int32_t>(key_end.size()));
  }

  const Cache cache = MakeCache(num_pages, num_heads, head_dim);
  FillWithNan(cache);
  const int64_t num_keys = slots.size();
  Store(cache, RandomQkv(num_keys, num_heads, head_dim, magnitude),
        MakeInts({num_keys}, slots));

  const int64_t rows = key_end.size();
  const int64_t num_sequences = sequences.size();
  const Twin queries = RandomQkv(rows, num_heads, head_dim, magnitude);
  const Twin query_offsets = MakeInts({num_sequences + 1}, offsets);
  const Twin pages = MakeInts({num_sequences, max_pages}, page_table);
  const Twin begins = MakeInts({rows}, key_begin);
  const Twin ends = MakeInts({rows}, key_end);
  const Twin output = OutputT({rows, num_heads, head_dim});
  OnBothSides([&](const Side& side) {
    side->PagedAttention({.qkv = side(queries),
                          .query_offsets = side(query_offsets),
                          .page_table = side(pages),
                          .key_begin = side(begins),
                          .key_end = side(ends),
                          .scale = scale,
                          .cache = cache.layers[side.index()],
                          .output = side(output)});
  });
  ExpectNear(output, ToleranceOf(is_bf16(), magnitude));
}

TEST_P(PagedAttentionConformance, EveryHeadDim) {
  for (const int head_dim : {1, 8, 16, 20, 32, 33, 64, 80, 96, 128, 256}) {
    for (const int num_heads : {1, 3}) {
      SCOPED_TRACE(testing::Message() << num_heads << " x " << head_dim);
      StoreAttendAndCompare({Causal(37, 5), Causal(3, 3)}, num_heads, head_dim,
                            1.0f / std::sqrt(static_cast<float>(head_dim)));
    }
  }
}

TEST_P(PagedAttentionConformance, LengthsAroundPageBoundaries) {
  for (const int32_t length : {1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 257}) {
    SCOPED_TRACE(length);
    StoreAttendAndCompare({Causal(length, 1)}, 2, 32, 0.18f);
    StoreAttendAndCompare({Causal(length, length)}, 2, 32, 0.18f);
  }
}

TEST_P(PagedAttentionConformance, ManySequencesOfAllLengths) {
  std::vector<Sequence> sequences;
  for (int i = 0; i < 40; ++i) {
    const int32_t num_keys = 1 + RandomInt(70);
    // Decoding, a chunk of a prompt, or a whole prompt.
    const int32_t num_queries =
        i % 3 == 0 ? 1 : 1 + RandomInt(std::min(num_keys, 20));
    sequences.push_back(Causal(num_keys, num_queries));
  }
  sequences.push_back(Causal(150, 150));
  sequences.push_back({20, {}});  // in the batch, without a query
  sequences.push_back(Causal(9, 2));
  StoreAttendAndCompare(sequences, 4, 32, 0.18f);
}

TEST_P(PagedAttentionConformance, ManyDecodingSequences) {
  std::vector<Sequence> sequences;
  for (int i = 0; i < 300; ++i) sequences.push_back(Causal(1 + i % 35, 1));
  StoreAttendAndCompare(sequences, 1, 16, 0.25f);
}

// So many that a thread takes several heads of a row at once.
TEST_P(PagedAttentionConformance, ManyDecodingSequencesOfSeveralHeads) {
  std::vector<Sequence> sequences;
  for (int i = 0; i < 60; ++i) sequences.push_back(Causal(1 + i % 35, 1));
  StoreAttendAndCompare(sequences, 3, 64, 0.125f);
}

TEST_P(PagedAttentionConformance, RangesThatBeginLate) {
  Sequence sequence{70, {}};
  for (const int32_t begin : {0, 1, 15, 16, 17, 40, 69}) {
    for (const int32_t end : {1, 16, 18, 32, 41, 70}) {
      if (begin < end) sequence.queries.push_back({begin, end});
    }
  }
  StoreAttendAndCompare({sequence, Causal(5, 1)}, 2, 64, 0.125f);
}

// Pages between what two rows see belong to others, or to nobody.
TEST_P(PagedAttentionConformance, RangesWithKeysBetweenThatNobodySees) {
  const Sequence apart{150, {{0, 3}, {1, 5}, {64, 70}, {66, 69}, {149, 150}}};
  const Sequence backwards{90, {{80, 90}, {5, 5}, {20, 34}, {33, 40}, {0, 2}}};
  for (const int head_dim : {32, 64, 128}) {
    SCOPED_TRACE(head_dim);
    StoreAttendAndCompare({apart, Causal(5, 1), backwards}, 2, head_dim,
                          0.125f);
  }
}

TEST_P(PagedAttentionConformance, RowsThatSeeNothingAreZero) {
  Sequence sequence{20, {{0, 3}, {5, 5}, {0, 0}, {9, 2}, {16, 16}, {2, 20}}};
  StoreAttendAndCompare({sequence, {0, {{0, 0}}}, Causal(4, 1)}, 2, 16, 0.25f);
}

// One score is far above all others: exp must not overflow, and the answer is
// that key's value.
TEST_P(PagedAttentionConformance, LargeScores) {
  StoreAttendAndCompare({Causal(50, 10)}, 2, 64, 30.0f, 4.0f);
}

// A broken request must be noticed, and must not spoil its neighbours.
TEST_P(PagedAttentionConformance, NanStaysInItsSequence) {
  constexpr int kHeadDim = 32;
  constexpr int64_t kRows = 20;  // per sequence
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // The element of row 3 of the middle one of three sequences: of its query,
  // key or value.
  for (const int part : {0, 1, 2}) {
    SCOPED_TRACE(part);
    std::vector<float> values = Random(3 * kRows * 3 * kHeadDim);
    values[((kRows + 3) * 3 + part) * kHeadDim + 5] = nan;
    const Twin qkv = MakeT({3 * kRows, 1, 3, kHeadDim}, values);
    std::vector<int32_t> slots, begins, ends;
    for (int i = 0; i < 3 * kRows; ++i) {
      const int32_t key = i % kRows;
      slots.push_back(i / kRows * 2 * kPageLength + key);
      begins.push_back(0);
      ends.push_back(key + 1);
    }
    const Cache cache = MakeCache(6, 1, kHeadDim);
    Store(cache, qkv, MakeInts({3 * kRows}, slots));
    const Twin query_offsets = MakeInts({4}, {0, kRows, 2 * kRows, 3 * kRows});
    const Twin pages = MakeInts({3, 2}, {0, 1, 2, 3, 4, 5});
    const Twin key_begin = MakeInts({3 * kRows}, begins);
    const Twin key_end = MakeInts({3 * kRows}, ends);
    const Twin output = OutputT({3 * kRows, 1, kHeadDim});
    OnBothSides([&](const Side& side) {
      side->PagedAttention({.qkv = side(qkv),
                            .query_offsets = side(query_offsets),
                            .page_table = side(pages),
                            .key_begin = side(key_begin),
                            .key_end = side(key_end),
                            .scale = 0.2f,
                            .cache = cache.layers[side.index()],
                            .output = side(output)});
    });
    const std::vector<float> got = Read(output, 0);
    const std::vector<float> want = Read(output, 1);
    // Row 3 itself; its neighbours in the sequence may or may not be broken.
    EXPECT_TRUE(std::isnan(got[(kRows + 3) * kHeadDim + 5]));
    EXPECT_TRUE(std::isnan(want[(kRows + 3) * kHeadDim + 5]));
    for (int i = 0; i < 3 * kRows * kHeadDim; ++i) {
      if (i / kHeadDim / kRows == 1) continue;
      ASSERT_NEAR(got[i], want[i], is_bf16() ? 1e-2 : 1e-5);
    }
  }
}

TEST_P(PagedAttentionConformance, RotatesQueriesInPlaceAndStoredKeys) {
  constexpr int kNumHeads = 3;
  for (const int head_dim : {2, 16, 32, 64, 80, 128}) {
    for (const int rotary_dim : {2, head_dim / 4 / 2 * 2, head_dim}) {
      if (rotary_dim < 2) continue;
      SCOPED_TRACE(testing::Message() << rotary_dim << " of " << head_dim);
      const Cache cache = MakeCache(2, kNumHeads, head_dim);
      const Twin rotary =
          MakeFloat({50, rotary_dim}, RotaryTable(50, rotary_dim));
      const Twin positions = MakeInts({5}, {0, 49, 7, 7, 1});
      const Twin slots = MakeInts({5}, {17, 0, 31, 2, 16});
      const Twin qkv = RandomQkv(5, kNumHeads, head_dim);
      const std::vector<float> before = Read(qkv, 0);
      OnBothSides([&](const Side& side) {
        side->RotaryStoreKv({.qkv = side(qkv),
                             .rotary = side(rotary),
                             .positions = side(positions),
                             .slots = side(slots),
                             .cache = cache.layers[side.index()]});
      });
      // Keys in `qkv` may be rotated or not.
      const std::vector<float> after = Read(qkv, 0);
      const std::vector<float> wanted = Read(qkv, 1);
      const double relative = is_bf16() ? 0x1p-8 : 1e-6;
      for (size_t i = 0; i < after.size(); ++i) {
        const size_t part = i / head_dim % 3;
        const bool rotated =
            part == 0 && i % head_dim < static_cast<size_t>(rotary_dim);
        if (rotated) {
          ASSERT_NEAR(after[i], wanted[i],
                      1e-6 + relative * std::abs(wanted[i]));
        } else if (part != 1) {
          ASSERT_EQ(after[i], before[i]) << "element " << i;
        }
      }
      // What was stored, seen through attention of fresh queries.
      const Twin queries = RandomQkv(2, kNumHeads, head_dim);
      const Twin query_offsets = MakeInts({2}, {0, 2});
      const Twin pages = MakeInts({1, 2}, {1, 0});  // key 0 is slot 16
      const Twin begins = MakeInts({2}, {0, 1});
      const Twin ends = MakeInts({2}, {2, 2});
      const Twin output = OutputT({2, kNumHeads, head_dim});
      OnBothSides([&](const Side& side) {
        side->PagedAttention({.qkv = side(queries),
                              .query_offsets = side(query_offsets),
                              .page_table = side(pages),
                              .key_begin = side(begins),
                              .key_end = side(ends),
                              .scale = 1.0f,
                              .cache = cache.layers[side.index()],
                              .output = side(output)});
      });
      // A rotated bf16 key is rounded: 2^-9 of each term of a score.
      ExpectNear(output, {.absolute = is_bf16() ? 2e-2 : 1e-5});
    }
  }
}

TEST_P(PagedAttentionConformance, SlotMinusOneStoresNothing) {
  const Cache cache = MakeCache(2, 2, 16);
  const size_t num_bytes = 2 * ops().KvPageBytes(2, 16);
  Store(cache, RandomQkv(32, 2, 16), MakeInts({32}, Shuffled(32)));
  const std::vector<uint8_t> before =
      ReadBytes(cache.layers[0].data, num_bytes);
  Store(cache, RandomQkv(3, 2, 16), MakeInts({3}, {-1, -1, -1}));
  EXPECT_EQ(ReadBytes(cache.layers[0].data, num_bytes), before);
  Store(cache, RandomQkv(3, 2, 16), MakeInts({3}, {-1, 5, -1}));
  EXPECT_NE(ReadBytes(cache.layers[0].data, num_bytes), before);
}

TEST_P(PagedAttentionConformance, StoringLeavesOtherPagesAlone) {
  const Cache cache = MakeCache(3, 2, 20);
  const size_t page_bytes = ops().KvPageBytes(2, 20);
  const Twin slots = MakeInts({48}, Shuffled(48));
  Store(cache, RandomQkv(48, 2, 20), slots);
  const std::vector<uint8_t> before =
      ReadBytes(cache.layers[0].data, 3 * page_bytes);
  std::vector<int32_t> middle(kPageLength);
  std::iota(middle.begin(), middle.end(), kPageLength);
  Store(cache, RandomQkv(kPageLength, 2, 20), MakeInts({kPageLength}, middle));
  const std::vector<uint8_t> after =
      ReadBytes(cache.layers[0].data, 3 * page_bytes);
  const auto same = [&](size_t begin, size_t end) {
    return std::equal(before.begin() + begin, before.begin() + end,
                      after.begin() + begin);
  };
  EXPECT_TRUE(same(0, page_bytes));
  EXPECT_FALSE(same(page_bytes, 2 * page_bytes));
  EXPECT_TRUE(same(2 * page_bytes, 3 * page_bytes));
}

// A page is used again by another sequence: nothing of the first one is left.
TEST_P(PagedAttentionConformance, StoringAgainReplaces) {
  const Cache cache = MakeCache(1, 1, 32);
  const Twin slots = MakeInts({3}, {0, 1, 2});
  Store(cache, RandomQkv(3, 1, 32), slots);
  Store(cache, RandomQkv(3, 1, 32), slots);
  const Twin queries = RandomQkv(1, 1, 32);
  const Twin query_offsets = MakeInts({2}, {0, 1});
  const Twin pages = MakeInts({1, 1}, {0});
  const Twin begins = MakeInts({1}, {0});
  const Twin ends = MakeInts({1}, {3});
  const Twin output = OutputT({1, 1, 32});
  OnBothSides([&](const Side& side) {
    side->PagedAttention({.qkv = side(queries),
                          .query_offsets = side(query_offsets),
                          .page_table = side(pages),
                          .key_begin = side(begins),
                          .key_end = side(ends),
                          .scale = 0.2f,
                          .cache = cache.layers[side.index()],
                          .output = side(output)});
  });
  ExpectNear(output, ToleranceOf(is_bf16(), 1.0f));
}

INSTANTIATE_TEST_SUITE_P(Backends, PagedAttentionConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
