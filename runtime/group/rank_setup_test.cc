#include "runtime/group/rank_setup.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

RankSetup OfPages(int num_pages, bool is_loaded = false) {
  RankSetup setup;
  setup.backend = "cpu";
  setup.dtype = "bf16";
  setup.prefix_positions = "forward";
  setup.max_context = 2048;
  setup.limits.max_units_per_step = 500;
  setup.limits.max_rows_per_step = 60;
  setup.limits.max_sequences_per_step = 61;
  setup.limits.max_units_per_sequence = 501;
  setup.limits.num_pages = num_pages;
  setup.is_loaded = is_loaded;
  return setup;
}

std::vector<std::string> Jsons(const std::vector<RankSetup>& setups) {
  std::vector<std::string> jsons;
  for (const RankSetup& setup : setups) jsons.push_back(setup.ToJson());
  return jsons;
}

// The culprit has to be mended; the others wait for it.
void ExpectMismatch(const std::vector<RankSetup>& setups, int culprit,
                    const std::string& message) {
  for (size_t rank = 0; rank < setups.size(); ++rank) {
    const absl::Status status =
        AgreeOnSetup(Jsons(setups), static_cast<int>(rank)).status();
    EXPECT_EQ(status.code(), static_cast<int>(rank) == culprit
                                 ? absl::StatusCode::kFailedPrecondition
                                 : absl::StatusCode::kUnavailable)
        << "rank " << rank << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("rank " + std::to_string(culprit) + ": "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(RankSetupTest, ComesBackFromItsJson) {
  const RankSetup setup = OfPages(70, /*is_loaded=*/true);
  const auto parsed = ParseRankSetup(setup.ToJson());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->ToJson(), setup.ToJson());
  EXPECT_EQ(parsed->backend, "cpu");
  EXPECT_EQ(parsed->dtype, "bf16");
  EXPECT_EQ(parsed->prefix_positions, "forward");
  EXPECT_EQ(parsed->max_context, 2048);
  EXPECT_EQ(parsed->limits.max_units_per_step, 500);
  EXPECT_EQ(parsed->limits.max_rows_per_step, 60);
  EXPECT_EQ(parsed->limits.max_sequences_per_step, 61);
  EXPECT_EQ(parsed->limits.max_units_per_sequence, 501);
  EXPECT_EQ(parsed->limits.num_pages, 70);
  EXPECT_TRUE(parsed->is_loaded);
}

TEST(RankSetupTest, RefusesFieldsThatAreMissingOrOfAnotherType) {
  const Json good = Json::parse(OfPages(70).ToJson());
  for (const auto& [name, value] : good.items()) {
    Json missing = good;
    missing.erase(name);
    Json wrong = good;
    wrong[name] = Json::array();
    for (const Json& bad : {missing, wrong}) {
      const absl::Status status = ParseRankSetup(bad.dump()).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
      EXPECT_THAT(std::string(status.message()), HasSubstr(name + ": expected"))
          << bad;
    }
  }
}

TEST(RankSetupTest, RefusesNumbersOutOfRange) {
  for (const char* text : {"-1", "2147483648", "1.5", "18446744073709551615"}) {
    Json bad = Json::parse(OfPages(70).ToJson());
    bad["num_pages"] = Json::parse(text);
    EXPECT_EQ(ParseRankSetup(bad.dump()).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(RankSetupTest, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[]", "null", "\"loaded\"", "\xff", "{}"}) {
    EXPECT_EQ(ParseRankSetup(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_EQ(AgreeOnSetup({OfPages(1).ToJson(), std::string(text)}, 0)
                  .status()
                  .code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(RankSetupTest, TheGroupHasThePagesOfTheRankWithTheFewest) {
  for (int rank = 0; rank < 3; ++rank) {
    const auto agreed =
        AgreeOnSetup(Jsons({OfPages(80), OfPages(70), OfPages(90)}), rank);
    ASSERT_TRUE(agreed.ok()) << agreed.status();
    EXPECT_EQ(agreed->limits.num_pages, 70);
  }
}

TEST(RankSetupTest, WhateverElseIsTheLeadersWord) {
  RankSetup follower = OfPages(80);
  follower.prefix_positions = "reference_generate";
  follower.max_context = 1;
  follower.limits.max_units_per_step = 1;
  follower.limits.max_rows_per_step = 1;
  follower.limits.max_sequences_per_step = 1;
  follower.limits.max_units_per_sequence = 1;
  const auto agreed = AgreeOnSetup(Jsons({OfPages(80), follower}), 1);
  ASSERT_TRUE(agreed.ok()) << agreed.status();
  EXPECT_EQ(agreed->ToJson(), OfPages(80).ToJson());
}

TEST(RankSetupTest, AnotherBackendOrDtypeThanTheLeadersIsAMismatch) {
  RankSetup other = OfPages(80);
  other.dtype = "fp32";
  ExpectMismatch({OfPages(80), OfPages(80), other}, 2,
                 "expected bf16 on cpu as the leader has, got fp32 on cpu");
  other = OfPages(80);
  other.backend = "reference";
  ExpectMismatch({OfPages(80), other, OfPages(80)}, 1, "got bf16 on reference");
}

TEST(RankSetupTest, LoadedRanksKeepTheirPages) {
  // Whoever comes back may have room for more.
  for (const auto& setups : {
           std::vector<RankSetup>{OfPages(70, true), OfPages(99),
                                  OfPages(70, true)},
           std::vector<RankSetup>{OfPages(99), OfPages(70, true),
                                  OfPages(70, true)},
           std::vector<RankSetup>{OfPages(70), OfPages(90), OfPages(70, true)},
       }) {
    const auto agreed = AgreeOnSetup(Jsons(setups), 0);
    ASSERT_TRUE(agreed.ok()) << agreed.status();
    EXPECT_EQ(agreed->limits.num_pages, 70);
    EXPECT_FALSE(agreed->is_loaded);
  }
}

TEST(RankSetupTest, ARankThatHasNotTheRoomOfTheLoadedOnesIsAMismatch) {
  ExpectMismatch({OfPages(70, true), OfPages(70, true), OfPages(69)}, 2,
                 "expected room for 70 pages, which rank 0 is loaded with, "
                 "got 69");
  // A new leader, too.
  ExpectMismatch({OfPages(69), OfPages(70, true)}, 0, "which rank 1 is loaded");
}

TEST(RankSetupTest, RanksLoadedUnlikeEachOtherAreAMismatch) {
  ExpectMismatch({OfPages(70, true), OfPages(90, true)}, 1, "got 90");
}

TEST(RankSetupTest, ALoadedRankCannotTakeOtherLimitsOfANewLeader) {
  for (int ModelLimits::*limit :
       {&ModelLimits::max_units_per_step, &ModelLimits::max_rows_per_step,
        &ModelLimits::max_sequences_per_step,
        &ModelLimits::max_units_per_sequence}) {
    RankSetup leader = OfPages(70);
    leader.limits.*limit += 1;
    ExpectMismatch({leader, OfPages(70, true)}, 1,
                   "loaded with other limits than the leader now has");
  }
}

}  // namespace
}  // namespace blockserve
