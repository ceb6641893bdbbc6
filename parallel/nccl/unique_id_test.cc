#include "parallel/nccl/unique_id.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace blockserve {
namespace {

// An exchange in which the peers bring `theirs`, and `mine` is kept.
BlobExchange With(std::vector<std::string> theirs, int rank,
                  std::string& mine) {
  return [=, &mine](const std::string& own) mutable
         -> absl::StatusOr<std::vector<std::string>> {
    mine = own;
    theirs[static_cast<size_t>(rank)] = own;
    return theirs;
  };
}

TEST(UniqueIdTest, AllRanksGetTheIdOfRank0) {
  std::string of_rank_0;
  const auto drawn =
      ExchangeUniqueId(0, absl::OkStatus(), With({"", "+"}, 0, of_rank_0));
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  std::string of_rank_1;
  const auto got = ExchangeUniqueId(1, absl::OkStatus(),
                                    With({of_rank_0, ""}, 1, of_rank_1));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(std::string(got->internal, sizeof(got->internal)),
            std::string(drawn->internal, sizeof(drawn->internal)));
}

TEST(UniqueIdTest, ARankThatCannotGoOnTellsWhy) {
  for (const int rank : {0, 1}) {
    std::string complaint;
    const absl::Status own = absl::ResourceExhaustedError("no memory");
    EXPECT_EQ(
        ExchangeUniqueId(rank, own, With({"+", "+"}, rank, complaint)).status(),
        own);

    std::vector<std::string> blobs(2, "+");
    blobs[static_cast<size_t>(rank)] = complaint;
    std::string ignored;
    const absl::Status peers = ExchangeUniqueId(1 - rank, absl::OkStatus(),
                                                With(blobs, 1 - rank, ignored))
                                   .status();
    EXPECT_TRUE(absl::IsFailedPrecondition(peers)) << peers;
    EXPECT_NE(peers.message().find("no memory"), absl::string_view::npos)
        << peers;
  }
}

TEST(UniqueIdTest, RefusesWhatIsNoId) {
  for (const char* const blob : {"", "+", "+short", "rubbish"}) {
    std::string ignored;
    const absl::Status got =
        ExchangeUniqueId(1, absl::OkStatus(), With({blob, ""}, 1, ignored))
            .status();
    EXPECT_TRUE(absl::IsFailedPrecondition(got)) << got;
  }
}

TEST(UniqueIdTest, AFailedExchangeIsItsError) {
  const absl::Status over = absl::UnavailableError("the epoch is over");
  const BlobExchange fails = [&](const std::string&) { return over; };
  EXPECT_EQ(ExchangeUniqueId(0, absl::OkStatus(), fails).status(), over);
}

}  // namespace
}  // namespace blockserve
