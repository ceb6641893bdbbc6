#include "router/rpc_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace blockserve {
namespace {

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

template <typename Message>
std::optional<Message> Find(const grpc::Status& status) {
  const google::rpc::Status details = Details(status);
  for (const auto& any : details.details()) {
    Message message;
    if (any.UnpackTo(&message)) return message;
  }
  return std::nullopt;
}

TEST(RpcErrorTest, CarriesReasonDomainAndRequestId) {
  const grpc::Status status = ToGrpcStatus(AbortedError(), "req-1");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  const auto info = Find<google::rpc::ErrorInfo>(status);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason(), "ABORT_RPC");
  EXPECT_EQ(info->domain(), "blockserve");
  EXPECT_EQ(Find<google::rpc::RequestInfo>(status)->request_id(), "req-1");
  EXPECT_EQ(Details(status).code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(Details(status).message(), status.error_message());
}

TEST(RpcErrorTest, ListsEveryViolation) {
  const grpc::Status status =
      ToGrpcStatus(InvalidParameterError({{"a", "one"}, {"b", "two"}}), "");
  const auto bad_request = Find<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad_request.has_value());
  ASSERT_EQ(bad_request->field_violations_size(), 2);
  EXPECT_EQ(bad_request->field_violations(1).field(), "b");
  EXPECT_THAT(status.error_message(), testing::HasSubstr("a: one (and 1 more"));
  EXPECT_FALSE(Find<google::rpc::RequestInfo>(status).has_value());
}

TEST(RpcErrorTest, StaysWithinAClientsMetadataLimit) {
  std::vector<FieldViolation> violations;
  for (int i = 0; i < 100000; ++i) {
    violations.push_back({absl::StrCat("sampling_params.stop[", i, "]"),
                          std::string(1000, 'x')});
  }
  const grpc::Status status = ToGrpcStatus(
      InvalidParameterError(std::move(violations)), std::string(128, 'r'));
  EXPECT_LT(
      status.error_message().size() + status.error_details().size() * 4 / 3,
      7000u);
  const auto bad_request = Find<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad_request.has_value());
  const auto& last = *bad_request->field_violations().rbegin();
  EXPECT_THAT(last.description(), testing::HasSubstr("more violations"));
}

TEST(RpcErrorTest, RefusalSaysWhenToRetryAndWhichLimit) {
  const grpc::Status status = ToGrpcStatus(
      QueueFullError("outstanding_requests", "full", absl::Milliseconds(1250)),
      "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto retry = Find<google::rpc::RetryInfo>(status);
  ASSERT_TRUE(retry.has_value());
  EXPECT_EQ(retry->retry_delay().seconds(), 1);
  EXPECT_EQ(retry->retry_delay().nanos(), 250'000'000);
  const auto quota = Find<google::rpc::QuotaFailure>(status);
  ASSERT_TRUE(quota.has_value());
  EXPECT_EQ(quota->violations(0).subject(), "outstanding_requests");
}

TEST(RpcErrorTest, ContextLengthNamesLimitAndGiven) {
  const auto info = Find<google::rpc::ErrorInfo>(
      ToGrpcStatus(ContextLengthError("prompt", 512, 513), ""));
  EXPECT_EQ(info->reason(), "CONTEXT_LENGTH_EXCEEDED");
  EXPECT_EQ(info->metadata().at("limit"), "512");
  EXPECT_EQ(info->metadata().at("given"), "513");
}

TEST(RpcErrorTest, ModelNameFromTheClientIsEscaped) {
  const grpc::Status status =
      ToGrpcStatus(ModelNotFoundError("x\n\xff" + std::string(500, 'y')), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message().find('\n'), std::string::npos);
  EXPECT_LT(status.error_message().size(), 200u);
  const auto resource = Find<google::rpc::ResourceInfo>(status);
  EXPECT_EQ(resource->resource_type(), "model");
}

TEST(RpcErrorTest, WorkerLossNamesWhatWasDelivered) {
  const auto error = WorkerLostMidStreamError(7);
  EXPECT_EQ(error.code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(error.metadata.at(0).second, "7");
  EXPECT_GT(WorkerLostError("gone").retry_delay, absl::ZeroDuration());
  EXPECT_EQ(TimeoutError(false).reason, "QUEUE_TIMEOUT");
  EXPECT_EQ(TimeoutError(true).reason, "GENERATION_TIMEOUT");
}

}  // namespace
}  // namespace blockserve
