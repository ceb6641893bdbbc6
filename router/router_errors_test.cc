// How requests fail: codes, reasons, details, and that nothing is left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "router/testing/router_fixture.h"

namespace blockserve {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

class RouterErrorsTest : public RouterFixture {
 protected:
  // Starts a stream, waits until the worker has it.
  std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>> Held(
      grpc::ClientContext* context, FakeWorker& worker,
      const std::string& request_id = "") {
    worker.Hold(true);
    auto request = ToStream(IdsRequest({1, 2}, 100));
    request.set_request_id(request_id);
    auto reader = stub().GenerateStream(context, request);
    EXPECT_TRUE(worker.WaitForActive(1));
    return reader;
  }
};

TEST_F(RouterErrorsTest, BadRequestNamesEveryFieldAndReachesNoWorker) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  auto request = IdsRequest({1, 999}, 0);
  request.mutable_sampling_params()->set_temperature(std::nanf(""));
  v1::GenerateResponse response;
  const grpc::Status status = Generate(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "INVALID_PARAMETER");
  const auto bad_request = FindDetail<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad_request.has_value());
  std::vector<std::string> fields;
  for (const auto& violation : bad_request->field_violations()) {
    fields.push_back(violation.field());
  }
  EXPECT_THAT(fields, ElementsAreArray({"sampling_params.temperature",
                                        "sampling_params.max_tokens",
                                        "input_ids.ids[1]"}));
  EXPECT_EQ(ReasonOf(Stream(ToStream(request)).status), "INVALID_PARAMETER");
  EXPECT_TRUE(worker.commands().empty());
}

TEST_F(RouterErrorsTest, ContextLengthIsExactAtTheBoundary) {
  AddWorker();
  StartRouter();
  v1::GenerateResponse response;
  const std::vector<uint32_t> prompt(500, 1);
  EXPECT_TRUE(Generate(IdsRequest(prompt, 12), &response).ok());
  for (int over : {13, 16}) {
    const grpc::Status status = Generate(IdsRequest(prompt, over), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    const auto info = FindDetail<google::rpc::ErrorInfo>(status);
    EXPECT_EQ(info->reason(), "CONTEXT_LENGTH_EXCEEDED");
    EXPECT_EQ(info->metadata().at("limit"), "512");
    EXPECT_EQ(info->metadata().at("given"), absl::StrCat(500 + over));
  }
}

TEST_F(RouterErrorsTest, UnknownModelIsNotFoundInEveryMethod) {
  AddWorker();
  StartRouter();
  auto request = IdsRequest({1}, 1);
  request.set_model("gpt-9");
  v1::GenerateResponse response;
  std::vector<grpc::Status> all = {Generate(request, &response),
                                   Stream(ToStream(request)).status};
  {
    v1::ScoreRequest score;
    score.set_model("gpt-9");
    v1::ScoreResponse ignored;
    grpc::ClientContext context;
    all.push_back(stub().Score(&context, score, &ignored));
  }
  {
    v1::GetModelRequest get;
    get.set_name("gpt-9");
    v1::GetModelResponse ignored;
    grpc::ClientContext context;
    all.push_back(stub().GetModel(&context, get, &ignored));
  }
  {
    v1::TokenizeRequest tokenize;
    tokenize.set_model("gpt-9");
    v1::TokenizeResponse ignored;
    grpc::ClientContext context;
    all.push_back(stub().Tokenize(&context, tokenize, &ignored));
  }
  {
    v1::DetokenizeRequest detokenize;
    detokenize.set_model("gpt-9");
    v1::DetokenizeResponse ignored;
    grpc::ClientContext context;
    all.push_back(stub().Detokenize(&context, detokenize, &ignored));
  }
  for (const grpc::Status& status : all) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(ReasonOf(status), "MODEL_NOT_FOUND");
    EXPECT_EQ(FindDetail<google::rpc::ResourceInfo>(status)->resource_name(),
              "gpt-9");
  }
}

TEST_F(RouterErrorsTest, WithoutWorkersIsUnavailableWithARetryHint) {
  StartRouter();
  v1::GenerateResponse response;
  grpc::ClientContext context;
  const grpc::Status status =
      stub().Generate(&context, IdsRequest({1}, 1), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "NO_HEALTHY_WORKER");
  EXPECT_TRUE(FindDetail<google::rpc::RetryInfo>(status).has_value());
  EXPECT_EQ(TrailerOf(context, "grpc-retry-pushback-ms"), "500");
  EXPECT_EQ(ReasonOf(Stream(ToStream(IdsRequest({1}, 1))).status),
            "NO_HEALTHY_WORKER");
  // What is wrong with the request itself is said even so.
  EXPECT_EQ(ReasonOf(Generate(IdsRequest({}, 1), &response)),
            "INVALID_PARAMETER");
  v1::GetModelResponse model;
  grpc::ClientContext get;
  EXPECT_EQ(ReasonOf(stub().GetModel(&get, {}, &model)), "NO_HEALTHY_WORKER");
}

TEST_F(RouterErrorsTest, WithoutATokenizerServesIdsOnly) {
  AddWorker();
  StartRouter(nullptr, /*with_tokenizer=*/false);
  v1::GenerateResponse response;
  EXPECT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  EXPECT_EQ(response.choices(0).text(), "");
  const grpc::Status status = Generate(TextRequest("hi", 4), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "FEATURE_DISABLED");
  v1::TokenizeResponse ids;
  grpc::ClientContext tokenize;
  EXPECT_EQ(ReasonOf(stub().Tokenize(&tokenize, {}, &ids)), "FEATURE_DISABLED");
  v1::DetokenizeResponse text;
  grpc::ClientContext detokenize;
  EXPECT_EQ(ReasonOf(stub().Detokenize(&detokenize, {}, &text)),
            "FEATURE_DISABLED");
}

TEST_F(RouterErrorsTest, RefusesBeyondItsLimits) {
  FakeWorker& worker = AddWorker();
  StartRouter([](RouterOptions* options) {
    options->admission.max_outstanding_requests = 1;
    options->admission.retry_delay = absl::Milliseconds(250);
  });
  grpc::ClientContext held_context;
  auto held = Held(&held_context, worker);
  v1::GenerateResponse response;
  grpc::ClientContext context;
  const grpc::Status status =
      stub().Generate(&context, IdsRequest({1}, 1), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "QUEUE_FULL");
  EXPECT_EQ(FindDetail<google::rpc::RetryInfo>(status)->retry_delay().nanos(),
            250'000'000);
  EXPECT_EQ(
      FindDetail<google::rpc::QuotaFailure>(status)->violations(0).subject(),
      "outstanding_requests");
  EXPECT_EQ(TrailerOf(context, "grpc-retry-pushback-ms"), "250");
  while (worker.num_active() > 0) worker.Step();
  EXPECT_TRUE(ReadAll(*held).status.ok());
  ASSERT_TRUE(WaitUntilIdle());
  worker.Hold(false);
  EXPECT_TRUE(Generate(IdsRequest({1}, 1), &response).ok());
}

TEST_F(RouterErrorsTest, PassesAWorkersRefusalOn) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.RefuseNext(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL");
  v1::GenerateResponse response;
  grpc::ClientContext context;
  const grpc::Status status =
      stub().Generate(&context, IdsRequest({1}, 1), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "QUEUE_FULL");
  EXPECT_TRUE(FindDetail<google::rpc::RetryInfo>(status).has_value());
  EXPECT_EQ(TrailerOf(context, "grpc-retry-pushback-ms"), "500");
  worker.RefuseNext(grpc::StatusCode::INTERNAL, "ENGINE_ERROR");
  EXPECT_EQ(ReasonOf(Generate(IdsRequest({1}, 1), &response)), "ENGINE_ERROR");
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterErrorsTest, ClientCancelAbortsAtTheWorkerAtOnce) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  grpc::ClientContext context;
  auto reader = Held(&context, worker);
  worker.Step();
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  context.TryCancel();
  EXPECT_TRUE(worker.WaitForActive(0));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(WaitUntilIdle());
  EXPECT_THAT(MetricsText(), HasSubstr("{reason=\"CLIENT_CANCELLED\"} 1"));
}

TEST_F(RouterErrorsTest, ClientCancelOfAUnaryCallAbortsToo) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  v1::GenerateResponse response;
  const auto request = IdsRequest({1}, 100);
  grpc::CompletionQueue queue;
  auto call = stub().AsyncGenerate(&context, request, &queue);
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  ASSERT_TRUE(worker.WaitForActive(1));
  context.TryCancel();
  EXPECT_TRUE(worker.WaitForActive(0));
  void* tag;
  bool ok;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterErrorsTest, AbortEndsARequestWithItsUsage) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  grpc::ClientContext context;
  auto reader = Held(&context, worker, "abort-me");
  worker.Step();
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  v1::AbortRequest abort;
  v1::AbortResponse ignored;
  {
    grpc::ClientContext unknown;
    abort.set_request_id("someone-else");
    EXPECT_TRUE(stub().Abort(&unknown, abort, &ignored).ok());
    EXPECT_EQ(worker.num_active(), 1);
  }
  abort.set_request_id("abort-me");
  grpc::ClientContext aborting;
  EXPECT_TRUE(stub().Abort(&aborting, abort, &ignored).ok());
  const StreamResult result = ReadAll(*reader);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(ReasonOf(result.status), "ABORT_RPC");
  EXPECT_EQ(FindDetail<google::rpc::RequestInfo>(result.status)->request_id(),
            "abort-me");
  EXPECT_EQ(TrailerOf(context, "x-blockserve-usage"),
            "{\"prompt_tokens\":2,\"completion_tokens\":4,"
            "\"cached_tokens\":0}");
  EXPECT_TRUE(worker.WaitForActive(0));
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterErrorsTest, DeadlineOfTheClientEndsTheRequestAtTheWorker) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(100));
  v1::GenerateResponse response;
  const grpc::Status status =
      stub().Generate(&context, IdsRequest({1}, 100), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(worker.WaitForActive(0));
  EXPECT_TRUE(WaitUntilIdle());
  for (const auto& command : worker.commands()) {
    // gRPC rounds the deadline up on its way.
    EXPECT_EQ(command.timeout().seconds(), 0);
    EXPECT_LE(command.timeout().nanos(), 150'000'000);
  }
}

TEST_F(RouterErrorsTest, PastDeadlineDoesNoWork) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() -
                       std::chrono::seconds(1));
  v1::GenerateResponse response;
  EXPECT_EQ(
      stub().Generate(&context, IdsRequest({1}, 4), &response).error_code(),
      grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(Generate(IdsRequest({2}, 4), &response).ok());
  EXPECT_EQ(worker.commands().size(), 1u);
}

TEST_F(RouterErrorsTest, ServersOwnLimitOfTimeIsTyped) {
  FakeWorker& worker = AddWorker();
  StartRouter([](RouterOptions* options) {
    options->service.max_request_duration = absl::Milliseconds(50);
  });
  worker.Hold(true);
  grpc::ClientContext context;
  v1::GenerateResponse response;
  const grpc::Status status =
      stub().Generate(&context, IdsRequest({1, 2, 3}, 100), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(ReasonOf(status), "QUEUE_TIMEOUT");
  EXPECT_THAT(TrailerOf(context, "x-blockserve-usage"),
              HasSubstr("\"prompt_tokens\":3"));
  EXPECT_TRUE(worker.WaitForActive(0));
}

TEST_F(RouterErrorsTest, RefusesRequestIdsThatDoNotFitAHeader) {
  AddWorker();
  StartRouter();
  auto request = IdsRequest({1}, 1);
  v1::GenerateResponse response;
  for (const std::string& id :
       {std::string("a b"), std::string("a\nb"), std::string(129, 'a')}) {
    request.set_request_id(id);
    const grpc::Status status = Generate(request, &response);
    EXPECT_EQ(ReasonOf(status), "INVALID_PARAMETER");
    EXPECT_EQ(status.error_message().find('\n'), std::string::npos);
  }
  request.set_request_id(std::string(128, 'a'));
  EXPECT_TRUE(Generate(request, &response).ok());
}

TEST_F(RouterErrorsTest, DetokenizeNamesBadIds) {
  StartRouter();
  v1::DetokenizeRequest request;
  request.add_ids(65);
  request.add_ids(256);
  v1::DetokenizeResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub().Detokenize(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(
      FindDetail<google::rpc::BadRequest>(status)->field_violations(0).field(),
      "ids[1]");
}

}  // namespace
}  // namespace blockserve
