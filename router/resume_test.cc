#include "router/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using testing::ElementsAre;
using Verdict = ResumePlan::Verdict;

constexpr absl::Time kNow = absl::UnixEpoch();
const absl::Time kDeadline = kNow + absl::Minutes(1);

// What happens to a sequence, in letters: t: a token, l: lost, v: the worker
// leaves, r: refused; and the last verdict.
Verdict Play(ResumePlan& plan, const std::string& script) {
  Verdict verdict = Verdict::kRetry;
  int worker = 0;
  uint32_t token = 0;
  plan.OnDispatched(worker);
  for (char c : script) {
    EXPECT_EQ(verdict, Verdict::kRetry) << script << " ended before " << c;
    if (c == 't') {
      const uint32_t ids[] = {++token};
      plan.OnTokens(ids);
      continue;
    }
    verdict = plan.OnFailed(c == 'l'   ? AttemptFailure::kLost
                            : c == 'v' ? AttemptFailure::kLeft
                                       : AttemptFailure::kRefused,
                            kNow);
    plan.OnDispatched(++worker);
  }
  return verdict;
}

struct PlayCase {
  const char* script;
  Verdict verdict;
};

TEST(ResumePlanTest, FollowsItsRules) {
  const PlayCase kCases[] = {
      {"l", Verdict::kRetry},
      {"tl", Verdict::kRetry},
      {"ll", Verdict::kPoison},      // before the first token, twice
      {"tttlttl", Verdict::kRetry},  // progress in between
      {"tttll", Verdict::kPoison},   // at the same token
      {"tltltl", Verdict::kGiveUp},  // three groups
      {"rr", Verdict::kRetry},       // nobody was killed
      {"rrr", Verdict::kGiveUp},     // but three tries are enough
      {"lrl", Verdict::kPoison},     // with a refusal in between
      {"vv", Verdict::kRetry},       // left without progress
      {"vvv", Verdict::kGiveUp},
      {"tvtvtvtvtvtv", Verdict::kRetry},  // rolling restarts
      {"tvtvtltvtl", Verdict::kRetry},
  };
  for (const PlayCase& c : kCases) {
    ResumePlan plan({}, kDeadline, /*restartable=*/false);
    EXPECT_EQ(Play(plan, c.script), c.verdict) << c.script;
  }
}

TEST(ResumePlanTest, WithoutResumeAShownStreamEndsAtItsLoss) {
  const ResumeOptions options{.mid_stream_resume = false};
  ResumePlan fresh(options, kDeadline, false);
  EXPECT_EQ(Play(fresh, "l"), Verdict::kRetry);
  ResumePlan begun(options, kDeadline, false);
  EXPECT_EQ(Play(begun, "tl"), Verdict::kGiveUp);
  ResumePlan hidden(options, kDeadline, /*restartable=*/true);
  EXPECT_EQ(Play(hidden, "tl"), Verdict::kRetry);
  EXPECT_TRUE(hidden.restarts());
  EXPECT_FALSE(hidden.MayWait());
}

TEST(ResumePlanTest, RestartThatDiesNoLaterIsPoison) {
  const ResumeOptions options{.mid_stream_resume = false};
  ResumePlan plan(options, kDeadline, /*restartable=*/true);
  ASSERT_EQ(Play(plan, "tttl"), Verdict::kRetry);
  plan.Restart();
  EXPECT_TRUE(plan.tokens().empty());
  const uint32_t ids[] = {1, 2};
  plan.OnTokens(ids);
  EXPECT_EQ(plan.OnFailed(AttemptFailure::kLost, kNow), Verdict::kPoison);
}

TEST(ResumePlanTest, NothingIsTriedAfterTheDeadline) {
  ResumePlan plan({}, kDeadline, false);
  plan.OnDispatched(0);
  EXPECT_EQ(plan.OnFailed(AttemptFailure::kLost, kDeadline),
            Verdict::kDeadline);
}

TEST(ResumePlanTest, MaxAttemptsOfOneNeverRetries) {
  ResumePlan plan({.max_attempts = 1}, kDeadline, false);
  EXPECT_EQ(Play(plan, "l"), Verdict::kGiveUp);
}

TEST(ResumePlanTest, KeepsWhatWasDeliveredAndWhoWasTried) {
  ResumePlan plan({}, kDeadline, false);
  EXPECT_FALSE(plan.MayReturn());
  Play(plan, "ttlt");
  EXPECT_THAT(plan.tokens(), ElementsAre(1, 2, 3));
  EXPECT_THAT(plan.tried(), ElementsAre(0, 1));
  EXPECT_TRUE(plan.MayReturn());
  EXPECT_EQ(plan.num_migrations(), 1);
}

TEST(ResumePlanTest, WaitIsBoundedAndBeginsAnewAfterADispatch) {
  ResumePlan plan({.resume_timeout = absl::Seconds(30)}, kDeadline, false);
  Play(plan, "t");
  EXPECT_TRUE(plan.MayWait());
  plan.BeginWait(kNow);
  plan.BeginWait(kNow + absl::Seconds(20));  // still the same wait
  EXPECT_FALSE(plan.WaitIsOver(kNow + absl::Seconds(29)));
  EXPECT_TRUE(plan.WaitIsOver(kNow + absl::Seconds(30)));
  plan.OnDispatched(1);
  plan.BeginWait(kNow + absl::Seconds(30));
  EXPECT_FALSE(plan.WaitIsOver(kNow + absl::Seconds(59)));
}

}  // namespace
}  // namespace blockserve
