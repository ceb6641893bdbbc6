#include "kernels/cpu/kv_page.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>

namespace blockserve::cpu {
namespace {

template <typename T>
void ExpectOwnPlaceForEveryElement(int head_dim) {
  const KvPage<T> page(/*num_heads=*/2, head_dim);
  std::set<int64_t> places;
  for (int position = 0; position < kPageLength; ++position) {
    for (int dim = 0; dim < page.padded_dim(); ++dim) {
      places.insert(page.Key(position, dim));
      places.insert(page.Value(position, dim));
    }
  }
  EXPECT_EQ(static_cast<int64_t>(places.size()), page.head_page_size());
  EXPECT_EQ(*places.begin(), 0);
  EXPECT_EQ(*places.rbegin(), page.head_page_size() - 1);
}

TEST(KvPageTest, GivesEveryElementItsOwnPlace) {
  for (int head_dim : {1, 8, 20, 64}) {
    ExpectOwnPlaceForEveryElement<float>(head_dim);
    ExpectOwnPlaceForEveryElement<BFloat16>(head_dim);
  }
}

TEST(KvPageTest, HeadPagesFollowEachOther) {
  const KvPage<BFloat16> page(/*num_heads=*/3, /*head_dim=*/64);
  EXPECT_EQ(page.head_page_size() * sizeof(BFloat16), 4096u);
  EXPECT_EQ(page.HeadPage(0, 1), page.head_page_size());
  EXPECT_EQ(page.HeadPage(1, 0), page.page_size());
}

TEST(KvPageTest, PairsOfBf16ShareAWord) {
  const KvPage<BFloat16> page(/*num_heads=*/1, /*head_dim=*/64);
  EXPECT_EQ(page.Key(5, 8) % 2, 0);
  EXPECT_EQ(page.Key(5, 9), page.Key(5, 8) + 1);
  EXPECT_EQ(page.Key(6, 8), page.Key(5, 8) + 2);
  EXPECT_EQ(page.Value(7, 3), page.Value(6, 3) + 1);
  EXPECT_EQ(page.Value(6, 4), page.Value(6, 3) + 2);
}

}  // namespace
}  // namespace blockserve::cpu
