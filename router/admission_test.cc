#include "router/admission.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

using TicketPtr = std::unique_ptr<Admission::Ticket>;

TicketPtr Admitted(Admission& admission, int sequences, int64_t tokens) {
  auto result = admission.Admit(sequences, tokens);
  if (auto* ticket = std::get_if<TicketPtr>(&result)) return std::move(*ticket);
  return nullptr;
}

RpcError Refused(Admission& admission, int sequences, int64_t tokens) {
  auto result = admission.Admit(sequences, tokens);
  if (auto* error = std::get_if<RpcError>(&result)) return *error;
  ADD_FAILURE() << "was let in";
  return {};
}

TEST(AdmissionTest, RefusesBeyondOutstandingRequests) {
  Admission admission({.max_outstanding_requests = 3});
  TicketPtr one = Admitted(admission, 1, 10);
  TicketPtr two = Admitted(admission, 2, 10);
  ASSERT_TRUE(one != nullptr && two != nullptr);
  const RpcError error = Refused(admission, 1, 1);
  EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.reason, kQueueFull);
  EXPECT_EQ(error.quota_subject, "outstanding_requests");
  EXPECT_GT(error.retry_delay, absl::ZeroDuration());
  two.reset();
  EXPECT_EQ(Refused(admission, 3, 1).reason, kQueueFull);
  EXPECT_NE(Admitted(admission, 2, 1), nullptr);
}

TEST(AdmissionTest, RefusesBeyondWaitingPromptTokens) {
  Admission admission({.max_waiting_prompt_tokens = 100});
  TicketPtr first = Admitted(admission, 1, 60);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(Refused(admission, 1, 41).quota_subject, "waiting_prompt_tokens");
  TicketPtr second = Admitted(admission, 1, 40);
  ASSERT_NE(second, nullptr);
  // A first token came: the prompt does not wait, the request is still there.
  first->StopWaiting();
  first->StopWaiting();
  EXPECT_EQ(admission.waiting_prompt_tokens(), 40);
  EXPECT_EQ(admission.num_outstanding(), 2);
  EXPECT_NE(Admitted(admission, 1, 60), nullptr);
}

TEST(AdmissionTest, LetsInOneHugePromptWhenNothingWaits) {
  Admission admission({.max_waiting_prompt_tokens = 10});
  TicketPtr huge = Admitted(admission, 1, 1000);
  ASSERT_NE(huge, nullptr);
  EXPECT_EQ(Refused(admission, 1, 1).reason, kQueueFull);
}

TEST(AdmissionTest, TicketsGiveEverythingBack) {
  Admission admission({});
  {
    TicketPtr ticket = Admitted(admission, 4, 99);
    EXPECT_EQ(admission.num_outstanding(), 4);
    EXPECT_EQ(admission.waiting_prompt_tokens(), 99);
  }
  EXPECT_EQ(admission.num_outstanding(), 0);
  EXPECT_EQ(admission.waiting_prompt_tokens(), 0);
}

}  // namespace
}  // namespace blockserve
