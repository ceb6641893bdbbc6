#include "parallel/control/stranger_streams.h"

#include "gtest/gtest.h"

namespace blockserve {
namespace {

const absl::Time kStart = absl::UnixEpoch();

TEST(StrangerStreamsTest, TheLateAreFoundInTurn) {
  StrangerStreams strangers;
  EXPECT_EQ(strangers.NextDeadline(), absl::InfiniteFuture());
  strangers.Add(7, "a", kStart + absl::Seconds(2));
  strangers.Add(8, "b", kStart + absl::Seconds(1));
  EXPECT_EQ(strangers.NextDeadline(), kStart + absl::Seconds(1));
  EXPECT_EQ(strangers.FindLate(kStart), std::nullopt);
  EXPECT_EQ(strangers.FindLate(kStart + absl::Seconds(1)), 8u);
  EXPECT_EQ(strangers.Take(8).peer, "b");
  EXPECT_EQ(strangers.FindLate(kStart + absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(strangers.Find(8), nullptr);
  EXPECT_EQ(strangers.Find(7)->peer, "a");
}

TEST(StrangerStreamsTest, TheOldestMakesRoom) {
  StrangerStreams strangers;
  for (StreamId stream = 10; !strangers.IsFull(); ++stream) {
    strangers.Add(stream, "peer", kStart);
  }
  EXPECT_EQ(strangers.Oldest(), 10u);
  strangers.Erase(strangers.Oldest());
  EXPECT_FALSE(strangers.IsFull());
}

TEST(RefusalLogTest, CountsAllAndLogsFew) {
  RefusalLog log;
  const Refusal guess = RefuseStranger("wrong_secret", "a guess");
  EXPECT_EQ(log.Add("x", guess, kStart), "refused x: a guess (wrong_secret)");
  EXPECT_EQ(log.Add("y", guess, kStart + absl::Milliseconds(400)),
            std::nullopt);
  EXPECT_EQ(log.Add("z", guess, kStart + absl::Milliseconds(999)),
            std::nullopt);
  EXPECT_EQ(log.last(), "z: a guess");
  EXPECT_EQ(log.Add("x", RefuseStranger("malformed", "noise"),
                    kStart + absl::Seconds(1)),
            "refused x: noise (malformed); 2 more since the last line");
  EXPECT_EQ(log.counts().at("wrong_secret"), 3);
  EXPECT_EQ(log.counts().at("malformed"), 1);
}

}  // namespace
}  // namespace blockserve
