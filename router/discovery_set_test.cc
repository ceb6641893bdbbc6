#include "router/discovery_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Ids(const std::vector<DiscoverySet::Member>& members) {
  std::vector<std::string> ids;
  for (const auto& member : members) {
    ids.push_back(member.id + "=" + member.address);
  }
  return ids;
}

TEST(DiscoverySetTest, NumbersTheFirstInTheirOrder) {
  DiscoverySet set;
  const auto changes = set.Update({"b:1", "a:1", "b:1"});
  EXPECT_THAT(Ids(changes.added), ElementsAre("worker-0=b:1", "worker-1=a:1"));
  EXPECT_THAT(changes.leaving, IsEmpty());
}

TEST(DiscoverySetTest, TellsChangesOnly) {
  DiscoverySet set;
  set.Update({"a:1", "b:1"});
  auto changes = set.Update({"b:1", "a:1"});
  EXPECT_THAT(changes.added, IsEmpty());
  changes = set.Update({"b:1", "c:1"});
  EXPECT_THAT(Ids(changes.added), ElementsAre("worker-2=c:1"));
  EXPECT_THAT(Ids(changes.leaving), ElementsAre("worker-0=a:1"));
  changes = set.Update({"b:1", "c:1"});
  EXPECT_THAT(changes.leaving, IsEmpty());
}

TEST(DiscoverySetTest, OneThatLeavesMayReturn) {
  DiscoverySet set;
  set.Update({"a:1", "b:1"});
  set.Update({"b:1"});
  const auto changes = set.Update({"a:1", "b:1"});
  EXPECT_THAT(Ids(changes.returned), ElementsAre("worker-0=a:1"));
  EXPECT_THAT(changes.added, IsEmpty());
}

TEST(DiscoverySetTest, NamesAreUsedAgainButNumbersAreNot) {
  DiscoverySet set;
  for (int i = 0; i < 100; ++i) {
    const auto changes = set.Update({"pod" + std::to_string(i) + ":1"});
    ASSERT_EQ(changes.added.size(), 1u);
    EXPECT_EQ(changes.added[0].worker, i);
    // The one before has not gone yet.
    EXPECT_EQ(changes.added[0].id, i % 2 == 0 ? "worker-0" : "worker-1");
    if (i > 0) set.Remove(i - 1);
  }
  EXPECT_EQ(set.members().size(), 1u);
}

TEST(DiscoverySetTest, MayBeEmpty) {
  DiscoverySet set;
  EXPECT_THAT(set.Update({}).added, IsEmpty());
  set.Update({"a:1"});
  EXPECT_THAT(Ids(set.Update({}).leaving), ElementsAre("worker-0=a:1"));
}

}  // namespace
}  // namespace blockserve
