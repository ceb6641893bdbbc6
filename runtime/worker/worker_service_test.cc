#include "runtime/worker/worker_service.h"

#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/worker/testing/fake_engine.h"
#include "runtime/worker/testing/worker_harness.h"
#include "runtime/worker/worker_conversion.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RequestResult Completed(int num_tokens) {
  RequestResult result;
  result.finish_reason = FinishReason::kLength;
  result.prompt_tokens = 3;
  result.completion_tokens = num_tokens;
  result.timings = {absl::Milliseconds(1), absl::Milliseconds(2),
                    absl::Milliseconds(4), absl::Milliseconds(8)};
  return result;
}

RequestResult Ended(const absl::Status& status) {
  RequestResult result;
  result.status = status;
  result.timings.queue = result.timings.total = absl::Milliseconds(1);
  return result;
}

class WorkerServiceTest : public ::testing::Test {
 protected:
  FakeEngine engine_;
  WorkerHarness worker_{&engine_};
};

TEST_F(WorkerServiceTest, StreamsTokensAndTheEnd) {
  ClientStream stream(worker_.stub());
  stream.Generate("a", {5, 6, 7}, 9);
  const GenerateRequest request = engine_.WaitForGenerate("a");
  EXPECT_THAT(request.prompt, ElementsAre(5, 6, 7));
  EXPECT_EQ(request.sampling.max_tokens, 9);
  EXPECT_EQ(request.deadline, absl::InfiniteFuture());
  engine_.EmitTokens("a", {10, 11, 12, 13});
  stream.ReadTokens("a", 4);
  engine_.EmitTokens("a", {14});
  RequestResult result = Completed(5);
  result.finish_reason = FinishReason::kStop;
  result.matched_stop_token = 14;
  engine_.Finish("a", result);
  const RequestRecord& record = stream.ReadDone("a");
  EXPECT_THAT(record.tokens, ElementsAre(10, 11, 12, 13, 14));
  EXPECT_EQ(record.done.code(), 0);
  EXPECT_EQ(record.done.error_reason(), "");
  EXPECT_TRUE(record.done.stopped());
  EXPECT_EQ(record.done.matched_stop_token_id(), 14u);
  EXPECT_EQ(record.done.prompt_tokens(), 3);
  EXPECT_EQ(record.done.completion_tokens(), 5);
  EXPECT_EQ(record.done.total_time().nanos(), 8000000);
}

TEST_F(WorkerServiceTest, PassesSamplingAndTimeoutOn) {
  ClientStream stream(worker_.stub());
  worker::v1::ExecuteRequest message;
  worker::v1::GenerateCommand& command = *message.mutable_generate();
  command.set_request_id("a");
  command.add_prompt_ids(0xffffffffu);
  command.add_resume_ids(4);
  command.mutable_timeout()->set_seconds(100);
  worker::v1::TokenSamplingParams& params = *command.mutable_sampling_params();
  params.set_temperature(0.5f);
  params.set_top_k(7);
  params.set_seed(1ull << 63);
  params.set_logprobs(3);
  params.add_stop_token_ids(8);
  (*params.mutable_logit_bias())[9] = 1.5f;
  (*params.mutable_logit_bias())[2] = -1.0f;
  const absl::Time before = absl::Now();
  ASSERT_TRUE(stream.Send(message));
  const GenerateRequest request = engine_.WaitForGenerate("a");
  EXPECT_THAT(request.prompt, ElementsAre(2147483647));
  EXPECT_THAT(request.resume_tokens, ElementsAre(4));
  EXPECT_GE(request.deadline, before + absl::Seconds(100));
  EXPECT_LE(request.deadline, absl::Now() + absl::Seconds(100));
  EXPECT_EQ(request.sampling.temperature, 0.5f);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.seed, 1ull << 63);
  EXPECT_EQ(request.sampling.logprobs, 3);
  EXPECT_THAT(request.sampling.stop_token_ids, ElementsAre(8));
  EXPECT_THAT(request.sampling.logit_bias,
              ElementsAre(std::pair(2, -1.0f), std::pair(9, 1.5f)));
}

TEST_F(WorkerServiceTest, ScoresWithLogprobs) {
  ClientStream stream(worker_.stub());
  worker::v1::ExecuteRequest message;
  message.mutable_score()->set_request_id("s");
  message.mutable_score()->add_context_ids(1);
  message.mutable_score()->add_continuation_ids(2);
  message.mutable_score()->set_top_logprobs(1);
  ASSERT_TRUE(stream.Send(message));
  const ScoreRequest request = engine_.WaitForScore("s");
  EXPECT_THAT(request.context, ElementsAre(1));
  EXPECT_THAT(request.continuation, ElementsAre(2));
  EXPECT_EQ(request.top_logprobs, 1);
  TokenLogprobs logprobs;
  logprobs.logprob = -0.5f;
  logprobs.top = {{7, -0.25f}};
  engine_.EmitTokens("s", {2}, {logprobs});
  engine_.Finish("s", Completed(1));
  const RequestRecord& record = stream.ReadDone("s");
  ASSERT_EQ(record.logprobs.size(), 1u);
  EXPECT_EQ(record.logprobs[0].logprob(), -0.5f);
  EXPECT_THAT(record.logprobs[0].top_ids(), ElementsAre(7));
  EXPECT_THAT(record.logprobs[0].top_logprobs(), ElementsAre(-0.25f));
  // Scoring is no generating.
  EXPECT_EQ(worker_.Metric("generation_tokens_total"), 0);
  EXPECT_EQ(worker_.Metric("time_to_first_token_seconds"), 0);
  EXPECT_EQ(worker_.Metric("prompt_tokens_total"), 2);
}

TEST_F(WorkerServiceTest, MergesWhatHappensDuringAWrite) {
  ClientStream stream(worker_.stub());
  constexpr int kNumTokens = 20000;
  stream.Generate("a");
  stream.Generate("b");
  engine_.WaitForGenerate("b");
  // The client does not read: after a few frames HTTP/2's window is full, and
  // all that follows has to go into one frame, in one event per request.
  for (int i = 0; i < kNumTokens; ++i) {
    engine_.EmitTokens("a", {i});
    engine_.EmitTokens("b", {-i & 0xffff});
  }
  engine_.Finish("a", Completed(kNumTokens));
  engine_.Finish("b", Completed(kNumTokens));
  const RequestRecord& a = stream.ReadDone("a");
  const RequestRecord& b = stream.ReadDone("b");
  ASSERT_EQ(a.tokens.size(), static_cast<size_t>(kNumTokens));
  ASSERT_EQ(b.tokens.size(), static_cast<size_t>(kNumTokens));
  for (int i = 0; i < kNumTokens; ++i) {
    ASSERT_EQ(a.tokens[static_cast<size_t>(i)], static_cast<uint32_t>(i));
    ASSERT_EQ(b.tokens[static_cast<size_t>(i)],
              static_cast<uint32_t>(-i & 0xffff));
  }
  EXPECT_LT(stream.num_frames, kNumTokens);
  EXPECT_LE(a.num_events, stream.num_frames);
}

TEST_F(WorkerServiceTest, RefusalsCarryCodeAndReason) {
  ClientStream stream(worker_.stub());
  const auto refuse = [&](const std::string& id, const absl::Status& status,
                          int max_tokens = 8) {
    engine_.set_refusal(status);
    stream.Generate(id, {1, 2, 3}, max_tokens);
    return stream.ReadDone(id).done;
  };
  worker::v1::Done done = refuse("full", absl::ResourceExhaustedError("full!"));
  EXPECT_EQ(done.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(done.error_reason(), "QUEUE_FULL");
  EXPECT_EQ(done.error_message(), "full!");
  done = refuse("bad", absl::InvalidArgumentError("top_p"));
  EXPECT_EQ(done.code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(done.error_reason(), "INVALID_PARAMETER");
  done = refuse("long", absl::InvalidArgumentError("too long"), 5000);
  EXPECT_EQ(done.error_reason(), "CONTEXT_LENGTH_EXCEEDED");
  done = refuse("drain", absl::UnavailableError("draining"));
  EXPECT_EQ(done.error_reason(), "DRAINING");
  engine_.set_health(absl::InternalError("broken"));
  done = refuse("broken", absl::UnavailableError("broken"));
  EXPECT_EQ(done.error_reason(), "WORKER_LOST");
  engine_.set_refusal(absl::OkStatus());
  stream.Generate("");
  EXPECT_EQ(stream.ReadDone("").done.error_reason(), "INVALID_PARAMETER");
  EXPECT_EQ(worker_.Metric("request_rejections_total{reason=QUEUE_FULL}"), 1);
  EXPECT_EQ(
      worker_.Metric("requests_total{code=UNAVAILABLE,finish_reason=none}"), 2);
}

TEST_F(WorkerServiceTest, DeadlinesTellWhereTheyPassed) {
  ClientStream stream(worker_.stub());
  stream.Generate("queued");
  stream.Generate("running");
  engine_.WaitForGenerate("running");
  const absl::Status late = absl::DeadlineExceededError("late");
  engine_.Finish("queued", Ended(late));
  RequestResult running = Completed(4);
  running.status = late;
  engine_.Finish("running", running);
  EXPECT_EQ(stream.ReadDone("queued").done.error_reason(), "QUEUE_TIMEOUT");
  const worker::v1::Done done = stream.ReadDone("running").done;
  EXPECT_EQ(done.error_reason(), "GENERATION_TIMEOUT");
  EXPECT_EQ(done.code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(done.completion_tokens(), 4);
}

TEST_F(WorkerServiceTest, AbortsByCommandAndByCall) {
  ClientStream stream(worker_.stub());
  ClientStream other(worker_.stub());
  stream.Generate("a");
  engine_.WaitForGenerate("a");
  stream.Abort("a");
  stream.Abort("unheard of");
  engine_.WaitForAbort("a");
  engine_.EmitTokens("a", {1});  // of the step under way: nobody wants it
  engine_.Finish("a", Ended(absl::CancelledError("aborted")));
  EXPECT_EQ(stream.ReadDone("a").done.error_reason(), "CLIENT_CANCELLED");
  EXPECT_THAT(stream.records["a"].tokens, IsEmpty());

  other.Generate("b");
  engine_.WaitForGenerate("b");
  grpc::ClientContext context;
  worker::v1::AbortRequest request;
  worker::v1::AbortResponse response;
  request.set_request_id("b");
  ASSERT_TRUE(worker_.stub().Abort(&context, request, &response).ok());
  engine_.WaitForAbort("b");
  engine_.Finish("b", Ended(absl::CancelledError("aborted")));
  EXPECT_EQ(other.ReadDone("b").done.error_reason(), "ABORT_RPC");
  EXPECT_EQ(worker_.Metric("cancellations_total{phase=waiting}"), 2);
}

TEST_F(WorkerServiceTest, AnAbortedIdCanBeUsedAgainAtOnce) {
  ClientStream stream(worker_.stub());
  stream.Generate("a", {1});
  engine_.WaitForGenerate("a");
  stream.Abort("a");
  stream.Generate("a", {2});
  stream.Generate("b");
  engine_.WaitForGenerate("b");  // so the second "a" has arrived, too
  ASSERT_EQ(engine_.num_open(), 3);
  ASSERT_THAT(engine_.WaitForGenerate("a").prompt, ElementsAre(1));
  engine_.Finish("a", Ended(absl::CancelledError("aborted")));
  ASSERT_THAT(engine_.WaitForGenerate("a").prompt, ElementsAre(2));
  engine_.EmitTokens("a", {7});
  engine_.Finish("a", Completed(1));
  const RequestRecord& record = stream.ReadDone("a");
  EXPECT_EQ(record.done.code(), 0);
  EXPECT_THAT(record.tokens, ElementsAre(7));
}

TEST_F(WorkerServiceTest, StreamsDoNotShareIds) {
  ClientStream first(worker_.stub());
  ClientStream second(worker_.stub());
  first.Generate("a", {1});
  engine_.WaitForGenerate("a");
  second.Generate("a", {2});
  second.Generate("b");
  engine_.WaitForGenerate("b");
  EXPECT_EQ(engine_.num_open(), 3);
}

TEST_F(WorkerServiceTest, ABrokenStreamAbortsItsRequests) {
  ClientStream other(worker_.stub());
  other.Generate("kept");
  engine_.WaitForGenerate("kept");
  {
    ClientStream stream(worker_.stub());
    stream.Generate("a");
    stream.Generate("b");
    engine_.WaitForGenerate("b");
    engine_.EmitTokens("a", {1});
    stream.ReadTokens("a", 1);
    stream.Cancel();
  }
  engine_.WaitForAbort("a");
  engine_.WaitForAbort("b");
  engine_.EmitTokens("a", {2});  // goes nowhere
  engine_.Finish("a", Ended(absl::CancelledError("aborted")));
  engine_.Finish("b", Ended(absl::CancelledError("aborted")));
  engine_.EmitTokens("kept", {3});
  EXPECT_THAT(other.ReadTokens("kept", 1).tokens, ElementsAre(3));
}

TEST_F(WorkerServiceTest, AHalfClosedStreamEndsWithItsRequests) {
  ClientStream stream(worker_.stub());
  stream.Generate("a");
  stream.HalfClose();
  engine_.WaitForGenerate("a");
  engine_.EmitTokens("a", {1});
  engine_.Finish("a", Completed(1));
  EXPECT_EQ(stream.ReadDone("a").done.code(), 0);
  EXPECT_FALSE(stream.ReadFrame());
  EXPECT_TRUE(stream.Finish().ok());
}

TEST_F(WorkerServiceTest, CountsEachRequestOnce) {
  ClientStream stream(worker_.stub());
  stream.Generate("a");
  engine_.WaitForGenerate("a");
  engine_.EmitTokens("a", {1, 2, 3, 4});
  engine_.EmitTokens("a", {5, 6, 7, 8});
  engine_.Finish("a", Completed(8));
  stream.ReadDone("a");
  EXPECT_EQ(worker_.Metric("requests_total{code=OK,finish_reason=length}"), 1);
  EXPECT_EQ(worker_.Metric("time_to_first_token_seconds"), 1);
  EXPECT_EQ(worker_.Metric("e2e_request_latency_seconds"), 1);
  EXPECT_EQ(worker_.Metric("request_queue_time_seconds"), 1);
  EXPECT_EQ(worker_.Metric("inter_token_latency_seconds"), 7);
  EXPECT_EQ(worker_.Metric("prompt_tokens_total"), 3);
  EXPECT_EQ(worker_.Metric("generation_tokens_total"), 8);
}

TEST_F(WorkerServiceTest, TellsWhoItIs) {
  grpc::ClientContext context;
  worker::v1::GetIdentityResponse identity;
  ASSERT_TRUE(worker_.stub().GetIdentity(&context, {}, &identity).ok());
  EXPECT_EQ(identity.worker_id(), "w0");
  EXPECT_EQ(identity.state(), worker::v1::WORKER_STATE_SERVING);
  EXPECT_EQ(identity.protocol_version(), 1);
  EXPECT_EQ(identity.block_length(), 4);
  grpc::ClientContext topology_context;
  worker::v1::GetTopologyResponse topology;
  ASSERT_TRUE(
      worker_.stub().GetTopology(&topology_context, {}, &topology).ok());
  EXPECT_EQ(topology.world_size(), 1);
  ASSERT_EQ(topology.ranks_size(), 1);
  EXPECT_TRUE(topology.ranks(0).up());
}

TEST_F(WorkerServiceTest, PushesLoadsWhenTheyChange) {
  grpc::ClientContext context;
  worker::v1::WatchLoadRequest request;
  request.mutable_min_interval()->set_nanos(10000000);
  const auto watch = worker_.stub().WatchLoad(&context, request);
  worker::v1::WatchLoadResponse load;
  ASSERT_TRUE(watch->Read(&load));
  EXPECT_EQ(load.state(), worker::v1::WORKER_STATE_SERVING);
  EXPECT_EQ(load.running_count(), 0);
  EngineLoad engine_load;
  engine_load.num_running = 2;
  engine_load.num_waiting = 3;
  engine_load.waiting_prompt_tokens = 4;
  engine_load.pages_used = 5;
  engine_load.pages_total = 6;
  engine_load.num_steps = 7;
  engine_.set_load(engine_load);
  ASSERT_TRUE(watch->Read(&load));
  EXPECT_EQ(load.running_count(), 2);
  EXPECT_EQ(load.waiting_count(), 3);
  EXPECT_EQ(load.waiting_prompt_tokens(), 4);
  EXPECT_EQ(load.pages_used(), 5);
  EXPECT_EQ(load.pages_total(), 6);
  EXPECT_EQ(load.step_count(), 7u);
  // Unchanged, it comes all the same: the heartbeat.
  ASSERT_TRUE(watch->Read(&load));
  EXPECT_EQ(load.step_count(), 7u);
  engine_.set_health(absl::InternalError("broken"));
  ASSERT_TRUE(watch->Read(&load));
  EXPECT_EQ(load.state(), worker::v1::WORKER_STATE_NOT_SERVING);
}

TEST_F(WorkerServiceTest, DrainsByCall) {
  ClientStream stream(worker_.stub());
  stream.Generate("a");
  engine_.WaitForGenerate("a");
  grpc::ClientContext watch_context;
  worker::v1::WatchLoadRequest watch_request;
  watch_request.mutable_min_interval()->set_seconds(10);
  const auto watch = worker_.stub().WatchLoad(&watch_context, watch_request);
  worker::v1::WatchLoadResponse load;
  ASSERT_TRUE(watch->Read(&load));

  worker::v1::DrainResponse response;
  std::thread drainer([&] {
    grpc::ClientContext context;
    worker::v1::DrainRequest request;
    request.mutable_timeout()->set_seconds(3600);
    EXPECT_TRUE(worker_.stub().Drain(&context, request, &response).ok());
  });
  // Told at once, whatever the interval.
  do {
    ASSERT_TRUE(watch->Read(&load));
  } while (load.state() != worker::v1::WORKER_STATE_DRAINING);
  engine_.WaitForDrain();
  stream.Generate("late");
  EXPECT_EQ(stream.ReadDone("late").done.error_reason(), "DRAINING");
  engine_.EmitTokens("a", {1});
  engine_.Finish("a", Completed(1));
  EXPECT_EQ(stream.ReadDone("a").done.code(), 0);
  drainer.join();
  EXPECT_EQ(response.aborted_count(), 0);
}

TEST_F(WorkerServiceTest, DrainEndsTheRestAtItsDeadline) {
  ClientStream stream(worker_.stub());
  stream.Generate("a");
  engine_.WaitForGenerate("a");
  grpc::ClientContext context;
  worker::v1::DrainRequest request;
  request.mutable_timeout();
  worker::v1::DrainResponse response;
  ASSERT_TRUE(worker_.stub().Drain(&context, request, &response).ok());
  EXPECT_EQ(response.aborted_count(), 1);
  const worker::v1::Done done = stream.ReadDone("a").done;
  EXPECT_EQ(done.code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(done.error_reason(), "DRAINING");
}

TEST_F(WorkerServiceTest, ShutdownEndsTheStreamsAfterTheLastEvent) {
  ClientStream stream(worker_.stub());
  stream.Generate("a");
  engine_.WaitForGenerate("a");
  grpc::ClientContext watch_context;
  const auto watch = worker_.stub().WatchLoad(&watch_context, {});
  worker::v1::WatchLoadResponse load;
  ASSERT_TRUE(watch->Read(&load));
  EXPECT_EQ(worker_.service().Drain(absl::Now()), 1);
  worker_.service().Shutdown();
  // A stream that is open must not hold up the server.
  worker_.server().Shutdown(absl::InfiniteFuture());
  EXPECT_EQ(stream.ReadDone("a").done.error_reason(), "DRAINING");
  EXPECT_FALSE(stream.ReadFrame());
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  while (watch->Read(&load)) {
  }
  EXPECT_EQ(load.state(), worker::v1::WORKER_STATE_NOT_SERVING);
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(WorkerServiceStartTest, ServesFromTheMomentItHasAnEngine) {
  FakeEngine engine;
  std::vector<bool> turns;
  WorkerHarness worker(
      nullptr, {.on_ready = [&](bool ready) { turns.push_back(ready); }});
  grpc::ClientContext watch_context;
  const auto watch = worker.stub().WatchLoad(&watch_context, {});
  worker::v1::WatchLoadResponse load;
  ASSERT_TRUE(watch->Read(&load));
  EXPECT_EQ(load.state(), worker::v1::WORKER_STATE_STARTING);
  ClientStream early(worker.stub());
  EXPECT_FALSE(early.ReadFrame());
  EXPECT_EQ(early.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext context;
  worker::v1::GetIdentityResponse identity;
  const grpc::Status status =
      worker.stub().GetIdentity(&context, {}, &identity);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("loading"));
  EXPECT_THAT(turns, IsEmpty());

  worker.service().SetEngine(&engine, TestIdentity());
  EXPECT_THAT(turns, ElementsAre(true));
  do {
    ASSERT_TRUE(watch->Read(&load));
  } while (load.state() == worker::v1::WORKER_STATE_STARTING);
  EXPECT_EQ(load.state(), worker::v1::WORKER_STATE_SERVING);
  ClientStream stream(worker.stub());
  stream.Generate("a");
  engine.WaitForGenerate("a");
  worker.service().Drain(absl::Now());
  EXPECT_THAT(turns, ElementsAre(true, false));
}

}  // namespace
}  // namespace blockserve
