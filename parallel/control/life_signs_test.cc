#include "parallel/control/life_signs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kInterval = absl::Milliseconds(250);
constexpr absl::Duration kTimeout = absl::Seconds(2);
const absl::Time kStart = absl::UnixEpoch();

// Two ends; `hears` says whether what the other end sends arrives.
struct End {
  LifeSigns signs{kInterval, kTimeout, kStart};
  bool hears = true;
};

void Exchange(End& from, End& to, absl::Time now) {
  if (!from.signs.IsBeatDue(now)) return;
  const group::v1::Heartbeat beat = from.signs.Beat(now);
  if (!to.hears) return;
  to.signs.OnFrame(now);
  to.signs.OnHeartbeat(beat);
}

void Live(End& a, End& b, absl::Time begin, absl::Time end) {
  for (absl::Time now = begin; now < end; now += absl::Milliseconds(10)) {
    Exchange(a, b, now);
    Exchange(b, a, now);
  }
}

TEST(LifeSignsTest, EndsThatHearEachOtherLiveOn) {
  End a, b;
  Live(a, b, kStart, kStart + absl::Minutes(1));
  EXPECT_TRUE(a.signs.Check(kStart + absl::Minutes(1)).ok());
  EXPECT_TRUE(b.signs.Check(kStart + absl::Minutes(1)).ok());
}

TEST(LifeSignsTest, SilenceIsNoticedAtTheTimeout) {
  LifeSigns signs(kInterval, kTimeout, kStart);
  const absl::Time heard = kStart + absl::Seconds(1);
  signs.OnFrame(heard);
  EXPECT_TRUE(signs.Check(heard + kTimeout - absl::Nanoseconds(1)).ok());
  const absl::Status lost = signs.Check(heard + kTimeout);
  EXPECT_EQ(lost.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(lost.message()), HasSubstr("nothing heard for 2s"));
}

TEST(LifeSignsTest, BothEndsNoticeAOneWayCut) {
  End a, b;
  const absl::Time cut = kStart + absl::Seconds(10);
  Live(a, b, kStart, cut);
  b.hears = false;
  const absl::Time end = cut + kTimeout + kInterval;
  Live(a, b, cut, end);
  EXPECT_THAT(std::string(b.signs.Check(end).message()),
              HasSubstr("nothing heard"));
  // It still hears b, but b's count stands still.
  EXPECT_THAT(std::string(a.signs.Check(end).message()),
              HasSubstr("has heard nothing"));
}

TEST(LifeSignsTest, TellsWhenToLookAgain) {
  LifeSigns signs(kInterval, kTimeout, kStart);
  EXPECT_EQ(signs.NextChange(), kStart);  // the first beat is due
  signs.Beat(kStart);
  EXPECT_EQ(signs.NextChange(), kStart + kInterval);
  for (int i = 1; i < 8; ++i) signs.Beat(kStart + i * kInterval);
  EXPECT_EQ(signs.NextChange(), kStart + kTimeout);
}

}  // namespace
}  // namespace blockserve
