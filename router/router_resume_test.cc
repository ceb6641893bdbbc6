// Streams that go on when the worker they run on is lost: the client sees one
// completion, as if nothing had happened.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "router/testing/router_fixture.h"

namespace blockserve {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

class RouterResumeTest : public RouterFixture {
 protected:
  // Everything a client gets from a stream, but times and the number of moves.
  static std::string Digest(const StreamResult& result) {
    std::string digest =
        absl::StrCat(result.status.error_code(), "|", result.text, "|",
                     result.token_ids.size());
    for (uint32_t id : result.token_ids) absl::StrAppend(&digest, " ", id);
    for (const auto& message : result.messages) {
      for (const auto& logprob : message.logprobs()) {
        absl::StrAppend(&digest, "\n", logprob.ShortDebugString());
      }
    }
    v1::GenerateStreamResponse last = result.messages.back();
    last.clear_request_id();
    last.clear_token_ids();
    last.clear_text_delta();
    last.clear_logprobs();
    last.clear_timings();
    last.clear_migration_count();
    return absl::StrCat(digest, "\n", last.ShortDebugString());
  }
  static int MigrationsOf(const StreamResult& result) {
    return result.messages.back().migration_count();
  }
  // Reads until the client has `count` tokens.
  static void ReadTokens(grpc::ClientReader<v1::GenerateStreamResponse>& reader,
                         int count, StreamResult* result) {
    v1::GenerateStreamResponse message;
    while (static_cast<int>(result->token_ids.size()) < count) {
      ASSERT_TRUE(reader.Read(&message));
      result->Add(message);
    }
  }
  void ReadRest(grpc::ClientReader<v1::GenerateStreamResponse>& reader,
                StreamResult* result) {
    const StreamResult rest = ReadAll(reader);
    for (const auto& message : rest.messages) result->Add(message);
    result->status = rest.status;
  }
};

TEST_F(RouterResumeTest, LossAtAnyBlockLeavesTheStreamAsItWas) {
  AddWorker(&EchoedToken);
  AddWorker(&EchoedToken);
  StartRouter();
  // The stop string and the multi-byte character straddle blocks.
  auto request = ToStream(TextRequest("never \xe2\x82\xac split!", 60));
  auto& params = *request.mutable_sampling_params();
  params.set_seed(7);
  params.set_logprobs(2);
  params.add_stop("t!never \xe2\x82\xac spl");
  const StreamResult undisturbed = Stream(request);
  ASSERT_TRUE(undisturbed.status.ok());
  ASSERT_GT(undisturbed.token_ids.size(), 24u);
  for (int num_blocks = 1; num_blocks <= 6; ++num_blocks) {
    HoldAll(true);
    grpc::ClientContext context;
    auto reader = stub().GenerateStream(&context, request);
    auto [holder, other] = HolderAndOther();
    for (int i = 0; i < num_blocks; ++i) holder->Step();
    StreamResult result;
    ReadTokens(*reader, 4 * num_blocks, &result);
    HoldAll(false);
    holder->BreakStreams();
    ReadRest(*reader, &result);
    EXPECT_EQ(Digest(result), Digest(undisturbed)) << num_blocks;
    EXPECT_EQ(MigrationsOf(result), 1);
    EXPECT_EQ(other->commands().back().resume_ids_size(), 4 * num_blocks);
    ASSERT_TRUE(WaitForHealthy(2));
  }
  EXPECT_THAT(MetricsText(), HasSubstr("blockserve_router_resumes_total 6"));
  EXPECT_THAT(MetricsText(),
              HasSubstr("blockserve_migrations_total{phase=\"decode\"} 6"));
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterResumeTest, KilledWorkersStreamGoesOnElsewhere) {
  AddWorker();
  AddWorker();
  StartRouter();
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  auto [holder, other] = HolderAndOther();
  holder->Step();
  StreamResult result;
  ReadTokens(*reader, 4, &result);
  HoldAll(false);
  holder->Kill();
  ReadRest(*reader, &result);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
  const auto command = other->commands().at(0);
  EXPECT_THAT(command.resume_ids(),
              ElementsAreArray(ExpectedTokens({1, 2, 3}, 7, 4)));
  EXPECT_EQ(command.sampling_params().seed(), 7u);
  EXPECT_EQ(command.sampling_params().max_tokens(), 40);
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterResumeTest, HungWorkersStreamGoesOnElsewhere) {
  AddWorker();
  AddWorker();
  StartRouter([](RouterOptions* options) {
    options->fleet.client.session.stall_timeout = absl::Milliseconds(50);
    options->fleet.health.base_ejection = absl::Milliseconds(10);
  });
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  auto [holder, other] = HolderAndOther();
  holder->Step();
  HoldAll(false);
  holder->Hang(true);
  StreamResult result = ReadAll(*reader);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
  EXPECT_EQ(MigrationsOf(result), 1);
  EXPECT_THAT(
      MetricsText(),
      HasSubstr("blockserve_router_ejections_total{reason=\"stall\"} 1"));
  holder->Hang(false);
  ASSERT_TRUE(WaitForHealthy(2));
  // Half open: the first success closes the breaker.
  v1::GenerateResponse response;
  while (holder->commands().size() < 2) {
    ASSERT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  }
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterResumeTest, OnlyGroupTakesItsStreamsBackWhenItIsRebuilt) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.Step();
  StreamResult result;
  ReadTokens(*reader, 4, &result);
  worker.LoseRank();
  ASSERT_TRUE(WaitForHealthy(0));
  ASSERT_TRUE(WaitForMetric("blockserve_router_waiting_resumes 1"));
  EXPECT_EQ(worker.commands().size(), 1u);
  worker.Hold(false);
  worker.Rebuild();
  ReadRest(*reader, &result);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
  EXPECT_EQ(MigrationsOf(result), 1);
  EXPECT_TRUE(WaitForMetric("blockserve_router_waiting_resumes 0"));
}

TEST_F(RouterResumeTest, OnlyWorkerTakesItsStreamsBackAsAnotherProcess) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.Step();
  StreamResult result;
  ReadTokens(*reader, 4, &result);
  worker.Kill();
  worker.Hold(false);
  ASSERT_TRUE(WaitForMetric("blockserve_router_waiting_resumes 1"));
  worker.Restart();
  ReadRest(*reader, &result);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
}

TEST_F(RouterResumeTest, WaitEndsAfterTheResumeTimeout) {
  FakeWorker& worker = AddWorker();
  StartRouter([](RouterOptions* options) {
    options->resume.resume_timeout = absl::Milliseconds(100);
  });
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.Step();
  StreamResult result;
  ReadTokens(*reader, 4, &result);
  worker.Kill();
  ReadRest(*reader, &result);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(result.status), "WORKER_LOST_MID_STREAM");
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterResumeTest, WaitEndsAtTheDeadline) {
  FakeWorker& worker = AddWorker();
  StartRouter([](RouterOptions* options) {
    options->service.max_request_duration = absl::Milliseconds(300);
  });
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.Step();
  StreamResult result;
  ReadTokens(*reader, 4, &result);
  worker.Kill();
  ReadRest(*reader, &result);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(WaitUntilIdle());
  EXPECT_TRUE(WaitForMetric("blockserve_router_waiting_resumes 0"));
}

TEST_F(RouterResumeTest, ClientMayLeaveDuringTheWait) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.Step();
  StreamResult result;
  ReadTokens(*reader, 4, &result);
  worker.LoseRank();
  ASSERT_TRUE(WaitForMetric("blockserve_router_waiting_resumes 1"));
  context.TryCancel();
  EXPECT_TRUE(WaitUntilIdle());
  EXPECT_TRUE(WaitForMetric("blockserve_router_waiting_resumes 0"));
  worker.Rebuild();
  ASSERT_TRUE(WaitForHealthy(1));
  EXPECT_EQ(worker.commands().size(), 1u);
  reader->Finish();
}

TEST_F(RouterResumeTest, RequestThatKillsWorkersReachesTwoAtMost) {
  for (int i = 0; i < 3; ++i) AddWorker();
  StartRouter();
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  // Whoever gets it breaks.
  int num_breaks = 0;
  while (num_breaks < 2) {
    for (auto& worker : workers_) {
      if (worker->num_active() == 0) continue;
      worker->LoseRank();
      ++num_breaks;
    }
    std::this_thread::yield();
  }
  const StreamResult result = ReadAll(*reader);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(ReasonOf(result.status), "ENGINE_ERROR");
  size_t num_commands = 0;
  for (auto& worker : workers_) num_commands += worker->commands().size();
  EXPECT_EQ(num_commands, 2u);
  EXPECT_TRUE(WaitForHealthy(1));
}

TEST_F(RouterResumeTest, TokenThatKillsWorkersReachesTwoAtMost) {
  for (int i = 0; i < 3; ++i) AddWorker();
  StartRouter();
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  int num_breaks = 0;
  while (num_breaks < 2) {
    for (auto& worker : workers_) {
      if (worker->num_active() == 0) continue;
      if (num_breaks == 0) {
        worker->Step();
        StreamResult begun;
        ReadTokens(*reader, 4, &begun);
      }
      worker->LoseRank();
      ++num_breaks;
    }
    std::this_thread::yield();
  }
  const StreamResult result = ReadAll(*reader);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(FindDetail<google::rpc::ErrorInfo>(result.status)
                ->metadata()
                .at("tokens_delivered"),
            "4");
  EXPECT_TRUE(WaitForHealthy(1));
}

TEST_F(RouterResumeTest, LongStreamOutlivesAnyNumberOfRollingRestarts) {
  AddWorker();
  AddWorker();
  StartRouter();
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  StreamResult result;
  for (int num_restarts = 1; num_restarts <= 5; ++num_restarts) {
    FakeWorker* holder = HolderAndOther().first;
    holder->Step();
    ReadTokens(*reader, 4 * num_restarts, &result);
    holder->GiveUpAll();
    ASSERT_TRUE(WaitForHealthy(1));
    holder->SetState(worker::v1::WORKER_STATE_SERVING);
    ASSERT_TRUE(WaitForHealthy(2));
  }
  while (HolderAndOther().first->num_active() > 0) {
    HolderAndOther().first->Step();
    if (workers_[0]->num_active() + workers_[1]->num_active() == 0) break;
  }
  ReadRest(*reader, &result);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
  EXPECT_EQ(MigrationsOf(result), 5);
}

TEST_F(RouterResumeTest, ChoicesOfTheLostWorkerMoveAndTheOthersStay) {
  AddWorker();
  AddWorker();
  StartRouter();
  HoldAll(true);
  auto request = IdsRequest({1, 2, 3}, 40);
  request.mutable_sampling_params()->set_n(2);
  v1::GenerateResponse undisturbed, response;
  HoldAll(false);
  ASSERT_TRUE(Generate(request, &undisturbed).ok());
  HoldAll(true);
  grpc::Status status;
  std::thread client([&] { status = Generate(request, &response); });
  EXPECT_TRUE(workers_[0]->WaitForActive(1));
  EXPECT_TRUE(workers_[1]->WaitForActive(1));
  for (auto& worker : workers_) worker->Step();
  HoldAll(false);
  workers_[0]->Kill();
  while (workers_[1]->num_active() > 0) workers_[1]->Step();
  client.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  int num_migrations = 0;
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(response.choices(i).token_ids(),
                ElementsAreArray(undisturbed.choices(i).token_ids()));
    num_migrations += response.choices(i).migration_count();
  }
  EXPECT_EQ(num_migrations, 1);
  EXPECT_EQ(response.usage().completion_tokens(), 80);
}

TEST_F(RouterResumeTest, EmptyBudgetRefusesRetries) {
  AddWorker();
  AddWorker();
  StartRouter([](RouterOptions* options) {
    options->fleet.retry_budget = {.ratio = 0, .min_concurrent = 0};
  });
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  HolderAndOther().first->LoseRank();
  EXPECT_EQ(ReasonOf(ReadAll(*reader).status), "WORKER_LOST");
  EXPECT_THAT(MetricsText(),
              HasSubstr("blockserve_router_retries_refused_total 1"));
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterResumeTest, TurnedOffALossMidStreamTellsWhatWasDelivered) {
  AddWorker();
  AddWorker();
  StartRouter([](RouterOptions* options) {
    options->resume.mid_stream_resume = false;
  });
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  FakeWorker* holder = HolderAndOther().first;
  holder->Step();
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  holder->Kill();
  const StreamResult result = ReadAll(*reader);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(result.status), "WORKER_LOST_MID_STREAM");
  EXPECT_EQ(FindDetail<google::rpc::ErrorInfo>(result.status)
                ->metadata()
                .at("tokens_delivered"),
            "4");
  EXPECT_THAT(TrailerOf(context, "x-blockserve-usage"),
              HasSubstr("\"completion_tokens\":4"));
  EXPECT_TRUE(WaitUntilIdle());
}

// Either way: a unary call has shown nothing yet.
class UnaryLossTest : public RouterResumeTest,
                      public testing::WithParamInterface<bool> {};

TEST_P(UnaryLossTest, IsNotSeenByTheClient) {
  AddWorker();
  AddWorker();
  StartRouter([](RouterOptions* options) {
    options->resume.mid_stream_resume = GetParam();
  });
  HoldAll(true);
  v1::GenerateResponse response;
  grpc::Status status;
  std::thread client([&] {
    status = Generate(IdsRequest({1, 2, 3}, 40), &response);
  });
  auto [holder, other] = HolderAndOther();
  holder->Step();
  HoldAll(false);
  holder->Kill();
  client.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.choices(0).token_ids(),
              ElementsAreArray(ExpectedTokens({1, 2, 3}, 7, 40)));
  EXPECT_EQ(response.usage().completion_tokens(), 40);
  EXPECT_EQ(response.choices(0).migration_count(), 1);
  EXPECT_EQ(other->commands().at(0).resume_ids_size(), GetParam() ? 4 : 0);
}

INSTANTIATE_TEST_SUITE_P(Resume, UnaryLossTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "Resumed" : "BegunAnew";
                         });

TEST_F(RouterResumeTest, WorkerTakenFromTheFileFinishesWhatItHas) {
  FakeWorker& first = AddWorker();
  FakeWorker second;
  const std::string path = absl::StrCat(testing::TempDir(), "/workers");
  const auto write = [&](const std::string& text) {
    std::ofstream(path) << text;
  };
  write(first.address());
  StartRouter([&](RouterOptions* options) {
    options->fleet.addresses.clear();
    options->discovery = [path] {
      return CreateFileDiscovery(path, absl::Milliseconds(5));
    };
  });
  first.HoldPromptsOf(3);
  grpc::ClientContext context;
  auto reader = Start(&context, 8);
  ASSERT_TRUE(first.WaitForActive(1));
  write(absl::StrCat("# the first is to go\n", second.address(), "\n"));
  v1::GenerateResponse response;
  while (second.commands().empty()) {
    Generate(IdsRequest({1}, 4), &response);  // refused while none is in
  }
  EXPECT_EQ(first.num_active(), 1);
  first.Step();
  first.Step();
  const StreamResult result = ReadAll(*reader);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(MigrationsOf(result), 0);
  // Then it is gone, and with it its series.
  while (absl::StrContains(MetricsText(), "worker=\"worker-0\"")) {
    std::this_thread::yield();
  }
  router_.reset();  // before `second`
}

}  // namespace
}  // namespace blockserve
