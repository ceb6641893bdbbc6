#include "runtime/worker/error_reason.h"

#include "gtest/gtest.h"

namespace blockserve {
namespace {

absl::string_view Reason(const absl::Status& status,
                         RequestPhase phase = RequestPhase::kWaiting) {
  return ErrorReason(status, phase, /*exceeds_context=*/false,
                     /*is_healthy=*/true);
}

TEST(ErrorReasonTest, NamesEveryEnd) {
  EXPECT_EQ(Reason(absl::OkStatus()), "");
  EXPECT_EQ(Reason(absl::InvalidArgumentError("")), "INVALID_PARAMETER");
  EXPECT_EQ(ErrorReason(absl::InvalidArgumentError(""), RequestPhase::kWaiting,
                        /*exceeds_context=*/true, /*is_healthy=*/true),
            "CONTEXT_LENGTH_EXCEEDED");
  EXPECT_EQ(Reason(absl::ResourceExhaustedError("")), "QUEUE_FULL");
  EXPECT_EQ(Reason(absl::UnavailableError("")), "DRAINING");
  EXPECT_EQ(Reason(absl::CancelledError("")), "CLIENT_CANCELLED");
  EXPECT_EQ(Reason(absl::InternalError("")), "ENGINE_ERROR");
  EXPECT_EQ(ErrorReason(absl::UnavailableError(""), RequestPhase::kDecode,
                        /*exceeds_context=*/false, /*is_healthy=*/false),
            "WORKER_LOST");
}

TEST(ErrorReasonTest, TellsWhereTheDeadlinePassed) {
  const absl::Status late = absl::DeadlineExceededError("");
  EXPECT_EQ(Reason(late, RequestPhase::kWaiting), "QUEUE_TIMEOUT");
  EXPECT_EQ(Reason(late, RequestPhase::kPrefill), "GENERATION_TIMEOUT");
  EXPECT_EQ(Reason(late, RequestPhase::kDecode), "GENERATION_TIMEOUT");
}

TEST(ErrorReasonTest, FindsThePhase) {
  RequestResult result;
  result.timings.queue = result.timings.total = absl::Seconds(1);
  EXPECT_EQ(PhaseOf(result), RequestPhase::kWaiting);
  result.timings.total = absl::Seconds(2);
  EXPECT_EQ(PhaseOf(result), RequestPhase::kPrefill);
  result.timings.first_token = absl::Seconds(1.5);
  EXPECT_EQ(PhaseOf(result), RequestPhase::kDecode);
}

}  // namespace
}  // namespace blockserve
