// What clients get from a router whose workers behave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "router/testing/router_fixture.h"

namespace blockserve {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

class GenerationServiceTest : public RouterFixture {};

TEST_F(GenerationServiceTest, GeneratesFromIds) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  v1::GenerateResponse response;
  const grpc::Status status = Generate(IdsRequest({1, 2, 3}, 10), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.choices_size(), 1);
  const v1::Choice& choice = response.choices(0);
  EXPECT_THAT(choice.token_ids(),
              ElementsAreArray(ExpectedTokens({1, 2, 3}, 7, 10)));
  EXPECT_EQ(choice.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(choice.seed(), 7u);
  EXPECT_EQ(response.model(), "fake-model");
  EXPECT_EQ(response.usage().prompt_tokens(), 3);
  EXPECT_EQ(response.usage().completion_tokens(), 10);
  EXPECT_EQ(response.timings().total().nanos(), 5000);
  ASSERT_EQ(worker.commands().size(), 1u);
  // A deadline always goes with it: the server's own, if the client has none.
  EXPECT_GT(worker.commands()[0].timeout().seconds(), 590);
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(GenerationServiceTest, GeneratesFromTextToText) {
  AddWorker(&EchoedToken);
  StartRouter();
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(TextRequest("gr\xc3\xbc\xc3\x9f", 12), &response).ok());
  EXPECT_EQ(response.choices(0).text(),
            "gr\xc3\xbc\xc3\x9f"
            "gr\xc3\xbc\xc3\x9f");
}

TEST_F(GenerationServiceTest, EchoesTheRequestId) {
  AddWorker();
  StartRouter();
  auto request = IdsRequest({1}, 1);
  v1::GenerateResponse response;
  {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", "from-metadata");
    ASSERT_TRUE(stub().Generate(&context, request, &response).ok());
    EXPECT_EQ(response.request_id(), "from-metadata");
    const auto& metadata = context.GetServerInitialMetadata();
    ASSERT_EQ(metadata.count("x-request-id"), 1u);
    EXPECT_EQ(metadata.find("x-request-id")->second, "from-metadata");
  }
  request.set_request_id("from-field");
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_EQ(response.request_id(), "from-field");
  request.clear_request_id();
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_THAT(response.request_id(), testing::StartsWith("req-"));
}

TEST_F(GenerationServiceTest, StreamedDeltasJoinToTheUnaryAnswer) {
  AddWorker(&EchoedToken);
  StartRouter();
  const auto request = TextRequest("never \xe2\x82\xac split", 40);
  v1::GenerateResponse unary;
  ASSERT_TRUE(Generate(request, &unary).ok());
  for (int interval : {1, 3, 1000}) {
    auto streaming = ToStream(request);
    streaming.set_stream_interval(interval);
    const StreamResult result = Stream(streaming);
    ASSERT_TRUE(result.status.ok());
    EXPECT_EQ(result.text, unary.choices(0).text());
    EXPECT_THAT(result.token_ids,
                ElementsAreArray(unary.choices(0).token_ids()));
    const auto& last = result.messages.back();
    EXPECT_EQ(last.finish_reason(), v1::FINISH_REASON_LENGTH);
    EXPECT_EQ(last.usage().completion_tokens(), 40);
    EXPECT_FALSE(result.messages.front().token_ids().empty());
  }
}

TEST_F(GenerationServiceTest, StreamIntervalHoldsBackAllButFirstAndLast) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  auto request = ToStream(IdsRequest({1}, 24));
  request.set_stream_interval(12);
  grpc::ClientContext context;
  auto reader = stub().GenerateStream(&context, request);
  ASSERT_TRUE(worker.WaitForActive(1));
  v1::GenerateStreamResponse message;
  worker.Step();
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.token_ids_size(), 4);
  for (int i = 0; i < 3; ++i) worker.Step();
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.token_ids_size(), 12);
  for (int i = 0; i < 2; ++i) worker.Step();
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.token_ids_size(), 8);
  EXPECT_EQ(message.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GenerationServiceTest, StopStringCutsExactlyAndFreesTheWorker) {
  FakeWorker& worker = AddWorker(&EchoedToken);
  StartRouter();
  worker.Hold(true);
  auto request = TextRequest("abcdefgh", 400);
  request.mutable_sampling_params()->add_stop("zz");
  request.mutable_sampling_params()->add_stop("fga");  // never
  request.mutable_sampling_params()->add_stop("ha");
  grpc::ClientContext context;
  auto reader = stub().GenerateStream(&context, ToStream(request));
  ASSERT_TRUE(worker.WaitForActive(1));
  for (int i = 0; i < 3; ++i) worker.Step();
  const StreamResult result = ReadAll(*reader);
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.text, "abcdefg");
  EXPECT_EQ(result.token_ids.size(), 9u);  // with the one that completed it
  const auto& last = result.messages.back();
  EXPECT_EQ(last.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(last.matched_stop().stop_string(), "ha");
  EXPECT_EQ(last.usage().completion_tokens(), 9);
  EXPECT_TRUE(worker.WaitForActive(0));
  EXPECT_EQ(worker.num_aborts(), 1);
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(GenerationServiceTest, StopStringMayBeKept) {
  AddWorker(&EchoedToken);
  StartRouter();
  auto request = TextRequest("abcdefgh", 400);
  request.mutable_sampling_params()->add_stop("ef");
  request.mutable_sampling_params()->set_include_stop_str_in_output(true);
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_EQ(response.choices(0).text(), "abcdef");
}

TEST_F(GenerationServiceTest, StopTokenEndsTheText) {
  AddWorker(&EchoedToken);
  StartRouter();
  auto request = TextRequest("abcdefgh", 400);
  request.mutable_sampling_params()->add_stop_token_ids('f');
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_EQ(response.choices(0).text(), "abcde");
  EXPECT_EQ(response.choices(0).finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(response.choices(0).matched_stop().stop_token_id(), 'f');
}

TEST_F(GenerationServiceTest, ChoicesDifferAndTheirSeedsRepeatThem) {
  FakeWorker& worker = AddWorker();
  AddWorker();
  StartRouter();
  auto request = IdsRequest({1, 2, 3}, 9);
  request.mutable_sampling_params()->set_n(3);
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  ASSERT_EQ(response.choices_size(), 3);
  EXPECT_EQ(response.usage().prompt_tokens(), 3);
  EXPECT_EQ(response.usage().completion_tokens(), 27);
  EXPECT_EQ(response.choices(0).seed(), 7u);
  for (const v1::Choice& choice : response.choices()) {
    EXPECT_THAT(choice.token_ids(),
                ElementsAreArray(ExpectedTokens({1, 2, 3}, choice.seed(), 9)));
  }
  EXPECT_NE(response.choices(1).seed(), response.choices(2).seed());
  EXPECT_LT(worker.commands().size(), 3u);  // both workers took part
}

TEST_F(GenerationServiceTest, StreamsSeveralChoices) {
  AddWorker();
  StartRouter();
  auto request = IdsRequest({1, 2, 3}, 9);
  request.mutable_sampling_params()->set_n(4);
  const StreamResult result = Stream(ToStream(request));
  ASSERT_TRUE(result.status.ok());
  std::vector<std::vector<uint32_t>> tokens(4);
  std::vector<uint64_t> seeds(4);
  int num_ends = 0;
  for (const auto& message : result.messages) {
    auto& of_choice = tokens.at(message.index());
    of_choice.insert(of_choice.end(), message.token_ids().begin(),
                     message.token_ids().end());
    if (message.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) ++num_ends;
    if (message.has_usage()) seeds[message.index()] = message.seed();
  }
  EXPECT_EQ(num_ends, 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(tokens[i], ExpectedTokens({1, 2, 3}, seeds[i], 9));
  }
}

TEST_F(GenerationServiceTest, DrawsSeedsWhenNoneIsGiven) {
  AddWorker();
  StartRouter();
  auto request = IdsRequest({1}, 4);
  request.mutable_sampling_params()->clear_seed();
  v1::GenerateResponse first;
  v1::GenerateResponse second;
  ASSERT_TRUE(Generate(request, &first).ok());
  ASSERT_TRUE(Generate(request, &second).ok());
  EXPECT_NE(first.choices(0).seed(), second.choices(0).seed());
}

TEST_F(GenerationServiceTest, ReportsLogprobs) {
  AddWorker(&EchoedToken);
  StartRouter();
  auto request = TextRequest("ab", 2);
  request.mutable_sampling_params()->set_logprobs(2);
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  ASSERT_EQ(response.choices(0).logprobs_size(), 2);
  const v1::TokenLogprob& logprob = response.choices(0).logprobs(1);
  EXPECT_EQ(logprob.token(), "b");
  EXPECT_EQ(logprob.logprob(), -0.625f);
  ASSERT_EQ(logprob.top_size(), 2);
  EXPECT_EQ(logprob.top(1).token(), "c");
}

TEST_F(GenerationServiceTest, ManyStreamsAtOnceGetTheirOwnTokens) {
  AddWorker();
  AddWorker();
  StartRouter();
  std::vector<std::thread> clients;
  for (uint32_t i = 1; i <= 32; ++i) {
    clients.emplace_back([this, i] {
      const std::vector<uint32_t> prompt(i, i);
      const StreamResult result = Stream(ToStream(IdsRequest(prompt, 60)));
      EXPECT_TRUE(result.status.ok());
      EXPECT_EQ(result.token_ids, ExpectedTokens(prompt, 7, 60));
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_TRUE(WaitUntilIdle());
  EXPECT_THAT(MetricsText(),
              HasSubstr("blockserve_requests_total{code=\"OK\",finish_reason="
                        "\"length\"} 32"));
  EXPECT_THAT(MetricsText(),
              HasSubstr("blockserve_time_to_first_token_seconds_count 32"));
  EXPECT_THAT(MetricsText(),
              HasSubstr("worker_inflight{worker=\"worker-1\"} 0"));
}

TEST_F(GenerationServiceTest, SlowReaderGetsFewerLargerMessages) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  // Some 150 KB, more than the flow-control window takes unread.
  auto request = ToStream(IdsRequest({1, 2, 3}, 400));
  request.mutable_sampling_params()->set_logprobs(20);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto slow = v1::InferenceService::NewStub(
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", router_->port()),
                                grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  auto reader = slow->GenerateStream(&context, request);
  ASSERT_TRUE(worker.WaitForCommands(1));
  ASSERT_TRUE(WaitUntilIdle());  // the worker is done, nothing is read yet
  const StreamResult result = ReadAll(*reader);
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 400));
  EXPECT_LT(result.messages.size(), 100u);
  int num_logprobs = 0;
  for (const auto& message : result.messages) {
    num_logprobs += message.logprobs_size();
  }
  EXPECT_EQ(num_logprobs, 400);
}

TEST_F(GenerationServiceTest, Scores) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  v1::ScoreRequest request;
  request.set_context_text("the ");
  for (uint32_t id : {2, 4, 6}) {
    request.mutable_continuation_ids()->add_ids(id);
  }
  v1::ScoreResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub().Score(&context, request, &response).ok());
  }
  ASSERT_EQ(response.logprobs_size(), 3);
  EXPECT_EQ(response.logprobs(1).token_id(), 4u);
  EXPECT_EQ(response.logprobs(1).top_size(), 0);
  EXPECT_DOUBLE_EQ(response.total_logprob(), -0.75);
  EXPECT_TRUE(response.is_greedy());
  EXPECT_EQ(response.usage().prompt_tokens(), 7);
  EXPECT_THAT(worker.score_commands().at(0).context_ids(),
              ElementsAre('t', 'h', 'e', ' '));

  request.mutable_continuation_ids()->add_ids(3);
  request.set_top_logprobs(2);
  grpc::ClientContext context;
  ASSERT_TRUE(stub().Score(&context, request, &response).ok());
  EXPECT_FALSE(response.is_greedy());
  EXPECT_EQ(response.logprobs(3).top_size(), 2);
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(GenerationServiceTest, TokenizesAndDetokenizes) {
  StartRouter();  // needs no worker
  v1::TokenizeRequest text;
  text.set_text("hi");
  v1::TokenizeResponse ids;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub().Tokenize(&context, text, &ids).ok());
  }
  EXPECT_THAT(ids.ids(), ElementsAre('h', 'i'));
  v1::DetokenizeRequest back;
  *back.mutable_ids() = ids.ids();
  v1::DetokenizeResponse again;
  grpc::ClientContext context;
  ASSERT_TRUE(stub().Detokenize(&context, back, &again).ok());
  EXPECT_EQ(again.text(), "hi");
}

TEST_F(GenerationServiceTest, DescribesTheModel) {
  AddWorker();
  AddWorker();
  StartRouter();
  v1::GetModelResponse model;
  v1::GetModelRequest request;
  request.set_name("fake-model");
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub().GetModel(&context, request, &model).ok());
  }
  EXPECT_EQ(model.model().context_length(), 512);
  EXPECT_EQ(model.model().block_length(), 4);
  EXPECT_EQ(model.model().worker_count(), 2);
  v1::ListModelsResponse models;
  grpc::ClientContext context;
  ASSERT_TRUE(stub().ListModels(&context, {}, &models).ok());
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).name(), "fake-model");
}

}  // namespace
}  // namespace blockserve
