#include "runtime/worker/kv_cache_plan.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

// 32 units of 4 tokens and one more: 3 pages of 16.
constexpr KvCacheNeeds kNeeds = {.tokens_per_unit = 4,
                                 .max_sequences = 8,
                                 .max_context_tokens = 128,
                                 .bytes_per_page = 1000};

TEST(KvCachePlanTest, CountsUnitsAndPages) {
  EXPECT_EQ(kNeeds.MaxUnits(), 33);
  EXPECT_EQ(kNeeds.PagesFor(128), 3);
  EXPECT_EQ(kNeeds.PagesFor(60), 1);
  EXPECT_EQ(kNeeds.PagesFor(61), 2);
  EXPECT_EQ(kNeeds.PagesFor(1), 1);
}

TEST(KvCachePlanTest, TakesWhatAllSequencesNeedAndNoMore) {
  const auto plan = PlanKvCache(kNeeds, std::nullopt, 1 << 30);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->num_pages, 24);
  EXPECT_EQ(plan->num_bytes, 24000);
  EXPECT_EQ(plan->SequencesThatFit(kNeeds, 128), 8);
  EXPECT_EQ(plan->SequencesThatFit(kNeeds, 16), 24);
  EXPECT_EQ(PlanKvCache(kNeeds, 1 << 30, 0)->num_pages, 24);
}

TEST(KvCachePlanTest, StaysWithinTheBytes) {
  EXPECT_EQ(PlanKvCache(kNeeds, std::nullopt, 5999)->num_pages, 5);
  EXPECT_EQ(PlanKvCache(kNeeds, 3000, 1 << 30)->num_pages, 3);
}

TEST(KvCachePlanTest, RefusesLessThanOneSequence) {
  const auto requested = PlanKvCache(kNeeds, 2999, 1 << 30);
  EXPECT_EQ(requested.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(requested.status().message(), HasSubstr("takes 3000 bytes"));
  EXPECT_THAT(requested.status().message(), HasSubstr("gives 2999"));
  EXPECT_THAT(PlanKvCache(kNeeds, std::nullopt, -5).status().message(),
              HasSubstr("memory has room for -5"));
}

}  // namespace
}  // namespace blockserve
