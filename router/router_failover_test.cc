// Workers that come, go, hang and drain; and a router that drains.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "router/testing/router_fixture.h"

namespace blockserve {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

class RouterFailoverTest : public RouterFixture {
 protected:
  bool IsReady() {
    const auto health = grpc::health::v1::Health::NewStub(channel_);
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    return health->Check(&context, {}, &response).ok() &&
           response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  }
};

TEST_F(RouterFailoverTest, StartsWithNoWorkerUpAndRecoversByItself) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  EXPECT_TRUE(IsReady());
  worker.Kill();
  ASSERT_TRUE(WaitForHealthy(0));
  EXPECT_FALSE(IsReady());
  v1::GenerateResponse response;
  EXPECT_EQ(ReasonOf(Generate(IdsRequest({1}, 4), &response)),
            "NO_HEALTHY_WORKER");
  // The model is known still; that nobody serves it, too.
  v1::ListModelsResponse models;
  grpc::ClientContext context;
  ASSERT_TRUE(stub().ListModels(&context, {}, &models).ok());
  EXPECT_EQ(models.models(0).worker_count(), 0);
  worker.Restart();
  ASSERT_TRUE(WaitForHealthy(1));
  EXPECT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  EXPECT_TRUE(IsReady());
}

TEST_F(RouterFailoverTest, LossBeforeTheFirstTokenIsRetriedElsewhere) {
  AddWorker();
  AddWorker();
  StartRouter();
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  auto [holder, other] = HolderAndOther();
  HoldAll(false);
  holder->Kill();
  const StreamResult result = ReadAll(*reader);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
  EXPECT_EQ(other->commands().size(), 1u);
  EXPECT_THAT(MetricsText(), HasSubstr("blockserve_router_retries_total 1"));
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterFailoverTest, LossWithNobodyElseIsUnavailable) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.BreakStreams();
  const StreamResult result = ReadAll(*reader);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(result.status), "WORKER_LOST");
  EXPECT_TRUE(FindDetail<google::rpc::RetryInfo>(result.status).has_value());
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterFailoverTest, DeadWorkerIsOutOfRotationAndBackWhenItAnswers) {
  AddWorker();
  AddWorker();
  StartRouter();
  workers_[0]->Kill();
  ASSERT_TRUE(WaitForHealthy(1));
  v1::GenerateResponse response;
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  }
  EXPECT_EQ(workers_[1]->commands().size(), 6u);
  EXPECT_THAT(MetricsText(), HasSubstr("worker_health{worker=\"worker-0\"} 0"));
  workers_[0]->Restart();
  ASSERT_TRUE(WaitForHealthy(2));
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  }
  EXPECT_GT(workers_[0]->commands().size(), 0u);
}

TEST_F(RouterFailoverTest, BurstIsSpreadBeforeAnyAnswer) {
  AddWorker();
  AddWorker();
  StartRouter();
  HoldAll(true);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>>>
      readers;
  for (int i = 0; i < 8; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(Start(contexts.back().get()));
  }
  EXPECT_TRUE(workers_[0]->WaitForActive(4));
  EXPECT_TRUE(workers_[1]->WaitForActive(4));
  for (auto& context : contexts) context->TryCancel();
  EXPECT_TRUE(workers_[0]->WaitForActive(0));
  EXPECT_TRUE(workers_[1]->WaitForActive(0));
  for (auto& reader : readers) reader->Finish();
}

TEST_F(RouterFailoverTest, DrainingWorkerFinishesButGetsNothingNew) {
  AddWorker();
  AddWorker();
  StartRouter();
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context, 4);
  auto [holder, other] = HolderAndOther();
  HoldAll(false);
  holder->SetState(worker::v1::WORKER_STATE_DRAINING);
  ASSERT_TRUE(WaitForHealthy(1));
  v1::GenerateResponse response;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  }
  EXPECT_EQ(other->commands().size(), 4u);
  holder->Step();
  EXPECT_TRUE(ReadAll(*reader).status.ok());
}

TEST_F(RouterFailoverTest, RefusalToStartIsRetriedElsewhere) {
  AddWorker();
  AddWorker();
  StartRouter();
  for (auto& worker : workers_) {
    worker->RefuseNext(grpc::StatusCode::UNAVAILABLE, "DRAINING");
  }
  // The first refuses and so does the second: two attempts, one error.
  v1::GenerateResponse response;
  const grpc::Status status = Generate(IdsRequest({1}, 4), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "DRAINING");
  workers_[0]->RefuseNext(grpc::StatusCode::UNAVAILABLE, "DRAINING");
  EXPECT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  EXPECT_TRUE(Generate(IdsRequest({1}, 4), &response).ok());
  EXPECT_TRUE(WaitUntilIdle());
}

TEST_F(RouterFailoverTest, HungWorkerIsGivenUp) {
  AddWorker();
  AddWorker();
  StartRouter([](RouterOptions* options) {
    options->fleet.client.session.stall_timeout = absl::Milliseconds(50);
  });
  HoldAll(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  HolderAndOther();
  HoldAll(false);  // for the one that gets it next
  const StreamResult result = ReadAll(*reader);
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 40));
}

TEST_F(RouterFailoverTest, WorkerWithAnotherModelStaysOut) {
  AddWorker();
  FakeWorker stranger;
  stranger.SetIdentity([](worker::v1::GetIdentityResponse* identity) {
    identity->set_model_name("another");
  });
  StartRouter([&](RouterOptions* options) {
    options->fleet.addresses.push_back(stranger.address());
  });
  // One of the two is in; the other is asked again and again, in vain.
  v1::ListModelsResponse models;
  grpc::ClientContext context;
  ASSERT_TRUE(stub().ListModels(&context, {}, &models).ok());
  EXPECT_EQ(models.models(0).worker_count(), 1);
  if (models.models(0).name() == "fake-model") {
    // When the last one of a model is gone, another model may take over.
    workers_[0]->Kill();
    while (models.models_size() == 0 || models.models(0).name() != "another") {
      grpc::ClientContext poll;
      ASSERT_TRUE(stub().ListModels(&poll, {}, &models).ok());
    }
  }
}

TEST_F(RouterFailoverTest, WorkerOfAnotherProtocolStaysOut) {
  FakeWorker worker;
  worker.SetIdentity([](worker::v1::GetIdentityResponse* identity) {
    identity->set_protocol_version(99);
  });
  StartRouter([&](RouterOptions* options) {
    options->fleet.addresses = {worker.address()};
  });
  EXPECT_FALSE(IsReady());
  worker.SetIdentity([](worker::v1::GetIdentityResponse* identity) {
    identity->set_protocol_version(1);
  });
  EXPECT_TRUE(WaitForHealthy(1));
  router_.reset();
}

TEST_F(RouterFailoverTest, DrainFinishesWhatRuns) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.HoldPromptsOf(3);
  grpc::ClientContext context;
  auto reader = Start(&context, 8);
  ASSERT_TRUE(worker.WaitForActive(1));
  std::thread drain(
      [&] { router_->Drain(absl::ZeroDuration(), absl::Seconds(30)); });
  // New calls are turned away while the old one goes on.
  v1::GenerateResponse response;
  grpc::Status refused;
  do {
    refused = Generate(IdsRequest({1, 2, 3, 4}, 4), &response);
  } while (refused.ok());
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(worker.num_active(), 1);
  while (worker.num_active() > 0) worker.Step();
  const StreamResult result = ReadAll(*reader);
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, ExpectedTokens({1, 2, 3}, 7, 8));
  drain.join();
}

TEST_F(RouterFailoverTest, DrainEndsLeftOversWithATypedError) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext running_context;
  auto running = Start(&running_context);
  ASSERT_TRUE(worker.WaitForActive(1));
  worker.Step();
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(running->Read(&message));
  grpc::ClientContext waiting_context;
  auto waiting = Start(&waiting_context);
  ASSERT_TRUE(worker.WaitForActive(2));
  std::thread drain(
      [&] { router_->Drain(absl::ZeroDuration(), absl::Milliseconds(20)); });
  const StreamResult first = ReadAll(*running);
  EXPECT_EQ(first.status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(first.status), "DRAINING");
  const StreamResult second = ReadAll(*waiting);
  EXPECT_EQ(second.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(second.status), "DRAINING");
  drain.join();
  EXPECT_TRUE(worker.WaitForActive(0));
}

TEST_F(RouterFailoverTest, DestructionEndsWhatRuns) {
  FakeWorker& worker = AddWorker();
  StartRouter();
  worker.Hold(true);
  grpc::ClientContext context;
  auto reader = Start(&context);
  ASSERT_TRUE(worker.WaitForActive(1));
  router_.reset();
  EXPECT_EQ(ReadAll(*reader).status.error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(worker.WaitForActive(0));
}

}  // namespace
}  // namespace blockserve
