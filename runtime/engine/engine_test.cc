#include "runtime/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/engine/test_support.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// An engine whose steps wait at a gate.
class EngineTest : public testing::Test {
 protected:
  void Start(FakeModelOptions model_options, EngineOptions options = {}) {
    auto before_step = std::move(model_options.before_step);
    model_options.before_step = [this, before_step](int step,
                                                    const StepInput& input) {
      gate_.Pass();
      return before_step ? before_step(step, input) : absl::OkStatus();
    };
    auto model = std::make_unique<FakeModel>(std::move(model_options));
    model_ = model.get();
    engine_ = Engine::Create(std::move(model), options);
  }

  std::shared_ptr<RecordingSink> Submit(const GenerateRequest& request) {
    auto sink = std::make_shared<RecordingSink>();
    const absl::Status status = engine_->Generate(request, sink);
    EXPECT_TRUE(status.ok()) << status;
    return sink;
  }

  absl::Status Refusal(const GenerateRequest& request) {
    return engine_->Generate(request, std::make_shared<RecordingSink>());
  }

  // A request that runs and is held in its first step.
  std::shared_ptr<RecordingSink> HoldOne() {
    gate_.Close();
    auto sink = Submit(MakeRequest("held", 4, 100));
    gate_.WaitForArrival();
    return sink;
  }

  void TearDown() override {
    gate_.Open();
    if (engine_ == nullptr) return;
    engine_->Drain(absl::InfiniteFuture());
    const EngineLoad load = engine_->load();
    EXPECT_EQ(load.pages_used, 0);
    EXPECT_EQ(load.num_running, 0);
    EXPECT_EQ(load.num_waiting, 0);
    EXPECT_EQ(load.waiting_prompt_tokens, 0);
    EXPECT_TRUE(model_->CheckAll().ok()) << model_->CheckAll();
  }

  Gate gate_;
  FakeModel* model_ = nullptr;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, GeneratesAndFreesEverything) {
  Start(SmallModel(4));
  const auto sink = Submit(MakeRequest("r", 5, 9));
  const RequestResult result = sink->Wait();
  EXPECT_TRUE(result.status.ok());
  EXPECT_THAT(sink->tokens(), SizeIs(9));
  EXPECT_EQ(sink->num_deltas(), 3);
  const EngineLoad load = engine_->load();  // as of OnDone
  EXPECT_EQ(load.pages_used, 0);
  EXPECT_EQ(load.pages_total, model_->limits().num_pages);
  EXPECT_EQ(load.scratch_slots_used, 0);
  EXPECT_EQ(load.scratch_slots_total, 8);
  EXPECT_EQ(load.num_steps, 3u);
  EXPECT_GT(load.last_step, absl::UnixEpoch());
}

TEST_F(EngineTest, Scores) {
  Start(SmallModel(4));
  ScoreRequest request;
  request.request_id = "s";
  request.context = {1, 2, 3};
  request.continuation = {4, 5, 6, 7, 8};
  auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(engine_->Score(request, sink).ok());
  EXPECT_TRUE(sink->Wait().status.ok());
  EXPECT_EQ(sink->tokens(), request.continuation);
  EXPECT_THAT(sink->logprobs(), SizeIs(5));
}

TEST_F(EngineTest, RefusesBadRequestsAndServesOn) {
  Start(SmallModel(4));
  GenerateRequest request = MakeRequest("r", 5, 9);
  request.sampling.top_p = -1.0f;
  EXPECT_EQ(Refusal(request).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Refusal(MakeRequest("r", 0, 9)).code(),
            absl::StatusCode::kInvalidArgument);
  // 64 units of 4 tokens are the most a sequence can have.
  EXPECT_EQ(Refusal(MakeRequest("r", 200, 61)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Submit(MakeRequest("r", 200, 60))->Wait().status.ok());
}

TEST_F(EngineTest, RefusesMoreThanALearnedTableOfPositionsHolds) {
  FakeModelOptions options = SmallModel(4);
  options.max_positions = 10;
  Start(options);
  EXPECT_TRUE(Submit(MakeRequest("fits", 20, 24))->Wait().status.ok());
  EXPECT_EQ(Refusal(MakeRequest("long", 20, 25)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineTest, RefusesAnIdThatRuns) {
  Start(SmallModel(4));
  const auto held = HoldOne();
  EXPECT_EQ(Refusal(MakeRequest("held", 4, 4)).code(),
            absl::StatusCode::kAlreadyExists);
  gate_.Open();
  held->Wait();
  EXPECT_TRUE(Submit(MakeRequest("held", 4, 4))->Wait().status.ok());
}

// Submits its id again as soon as it has ended.
class ResubmittingSink final : public RequestSink {
 public:
  explicit ResubmittingSink(std::function<void()> resubmit)
      : resubmit_(std::move(resubmit)) {}
  void OnTokens(const TokenDelta&) override {}
  void OnDone(const RequestResult&) override { resubmit_(); }

 private:
  std::function<void()> resubmit_;
};

TEST_F(EngineTest, AnIdIsFreeWhenOnDoneIsCalled) {
  Start(SmallModel(4));
  auto second = std::make_shared<RecordingSink>();
  absl::Status status = absl::UnknownError("not called");
  auto first = std::make_shared<ResubmittingSink>([&] {
    EXPECT_EQ(engine_->load().pages_used, 0);
    status = engine_->Generate(MakeRequest("r", 4, 4), second);
    EXPECT_TRUE(status.ok()) << status;
  });
  ASSERT_TRUE(engine_->Generate(MakeRequest("r", 4, 4), first).ok());
  EXPECT_TRUE(second->Wait().status.ok());
}

TEST_F(EngineTest, RefusesWhenTheQueueIsFull) {
  EngineOptions options;
  options.max_waiting_requests = 2;
  Start(SmallModel(4, /*num_sequences=*/1), options);
  HoldOne();
  const auto first = Submit(MakeRequest("a", 4, 4));
  const auto second = Submit(MakeRequest("b", 4, 4));
  const absl::Status refusal = Refusal(MakeRequest("c", 4, 4));
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refusal.ToString(), HasSubstr("2 of at most 2 requests wait"));
  EXPECT_EQ(engine_->load().num_waiting, 2);
  gate_.Open();
  EXPECT_TRUE(first->Wait().status.ok());
  EXPECT_TRUE(second->Wait().status.ok());
}

TEST_F(EngineTest, RefusesTooManyWaitingPromptTokens) {
  EngineOptions options;
  options.max_waiting_prompt_tokens = 100;
  Start(SmallModel(4, /*num_sequences=*/1), options);
  HoldOne();
  const auto waiting = Submit(MakeRequest("a", 80, 4));
  EXPECT_EQ(Refusal(MakeRequest("b", 21, 4)).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine_->load().waiting_prompt_tokens, 80);
  const auto small = Submit(MakeRequest("c", 20, 4));
  gate_.Open();
  EXPECT_TRUE(waiting->Wait().status.ok());
  EXPECT_TRUE(small->Wait().status.ok());
  EXPECT_TRUE(Submit(MakeRequest("large", 150, 4))->Wait().status.ok());
}

TEST_F(EngineTest, AbortEndsRunningAndWaitingRequests) {
  Start(SmallModel(4, /*num_sequences=*/1));
  const auto running = HoldOne();
  const auto waiting = Submit(MakeRequest("waiting", 4, 4));
  engine_->Abort("held");
  engine_->Abort("waiting");
  engine_->Abort("unknown");
  gate_.Open();
  EXPECT_EQ(running->Wait().status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(waiting->Wait().status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(running->tokens(), SizeIs(4));  // of the step it was in
  EXPECT_THAT(waiting->tokens(), SizeIs(0));
}

TEST_F(EngineTest, AClientThatVanishesLeavesNothingBehind) {
  Start(SmallModel(4));
  auto sink = HoldOne();
  std::weak_ptr<RecordingSink> watch = sink;
  sink.reset();
  EXPECT_FALSE(watch.expired());  // the engine still calls it
  engine_->Abort("held");
  gate_.Open();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(engine_->load().num_steps, 1u);
}

TEST_F(EngineTest, ADeadlineThatHasPassedEndsTheRequestInTheQueue) {
  Start(SmallModel(4));
  GenerateRequest request = MakeRequest("late", 4, 4);
  request.deadline = absl::Now() - absl::Seconds(1);
  const RequestResult result = Submit(request)->Wait();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(result.status.ToString(), HasSubstr("queue"));
  EXPECT_EQ(engine_->load().num_steps, 0u);
}

TEST_F(EngineTest, DrainLetsRequestsFinishAndRefusesNewOnes) {
  Start(SmallModel(4, /*num_sequences=*/1));
  const auto running = HoldOne();
  const auto waiting = Submit(MakeRequest("waiting", 4, 8));
  std::thread drainer([this] { engine_->Drain(absl::InfiniteFuture()); });
  // Until Drain has begun, a request with a running id is refused for that.
  while (Refusal(MakeRequest("held", 4, 4)).code() !=
         absl::StatusCode::kUnavailable) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(running->is_done());
  gate_.Open();
  drainer.join();
  ASSERT_TRUE(running->is_done());
  ASSERT_TRUE(waiting->is_done());
  EXPECT_TRUE(running->result().status.ok());
  EXPECT_THAT(waiting->tokens(), SizeIs(8));
}

TEST_F(EngineTest, DrainEndsWhatIsLeftAtTheDeadline) {
  FakeModelOptions options = SmallModel(4, /*num_sequences=*/1);
  Start(options);
  const auto running = HoldOne();
  const auto waiting = Submit(MakeRequest("waiting", 4, 8));
  std::thread drainer([this] { engine_->Drain(absl::InfinitePast()); });
  while (Refusal(MakeRequest("held", 4, 4)).code() !=
         absl::StatusCode::kUnavailable) {
    std::this_thread::yield();
  }
  gate_.Open();
  drainer.join();
  ASSERT_TRUE(running->is_done());
  ASSERT_TRUE(waiting->is_done());
  EXPECT_EQ(running->result().status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(waiting->result().status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(EngineTest, DestructionEndsWhatRuns) {
  Start(SmallModel(4, /*num_sequences=*/1));
  const auto running = HoldOne();
  const auto waiting = Submit(MakeRequest("waiting", 4, 8));
  std::thread destroyer([this] { engine_.reset(); });
  gate_.Open();
  destroyer.join();
  ASSERT_TRUE(waiting->is_done());
  EXPECT_TRUE(running->is_done());
}

TEST_F(EngineTest, AModelFailureEndsAllAndIsReported) {
  FakeModelOptions options = SmallModel(4, /*num_sequences=*/1);
  options.before_step = [](int, const StepInput&) {
    return absl::InternalError("lost device");
  };
  Start(options);
  EXPECT_TRUE(engine_->health().ok());
  const auto running = HoldOne();
  const auto waiting = Submit(MakeRequest("waiting", 4, 8));
  gate_.Open();
  EXPECT_EQ(running->Wait().status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(waiting->Wait().status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(engine_->health().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(engine_->health().ToString(), HasSubstr("lost device"));
  const absl::Status refusal = Refusal(MakeRequest("late", 4, 8));
  EXPECT_EQ(refusal.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(refusal.ToString(), HasSubstr("lost device"));
}

TEST_F(EngineTest, SuspensionEndsAllAndRefusesUntilResumed) {
  Start(SmallModel(4, /*num_sequences=*/1));
  const auto running = HoldOne();
  const auto waiting = Submit(MakeRequest("waiting", 4, 8));
  const absl::Status why = absl::UnavailableError("rank 1 is gone");
  std::thread suspender([&] { engine_->Suspend(why); });
  while (Refusal(MakeRequest("held", 4, 4)) != why) std::this_thread::yield();
  EXPECT_FALSE(waiting->is_done());  // a step is under way
  gate_.Open();
  suspender.join();
  ASSERT_TRUE(running->is_done());
  ASSERT_TRUE(waiting->is_done());
  EXPECT_EQ(running->result().status, why);
  EXPECT_EQ(waiting->result().status, why);
  EXPECT_EQ(engine_->health(), why);
  EXPECT_EQ(engine_->load().pages_used, 0);

  engine_->Resume();
  EXPECT_TRUE(engine_->health().ok());
  EXPECT_TRUE(Submit(MakeRequest("waiting", 4, 8))->Wait().status.ok());
}

TEST_F(EngineTest, AModelWhoseGroupBrokeServesAgain) {
  FakeModelOptions options = SmallModel(4);
  options.before_step = [](int step, const StepInput&) {
    return step == 1 ? absl::UnavailableError("rank 1 is gone")
                     : absl::OkStatus();
  };
  Start(options);
  const auto first = Submit(MakeRequest("first", 4, 8));
  EXPECT_EQ(first->Wait().status, absl::UnavailableError("rank 1 is gone"));
  const absl::Status refusal = Refusal(MakeRequest("second", 4, 4));
  EXPECT_EQ(refusal, absl::UnavailableError("rank 1 is gone"));
  engine_->Suspend(refusal);
  engine_->Resume();
  EXPECT_TRUE(Submit(MakeRequest("second", 4, 8))->Wait().status.ok());
}

TEST_F(EngineTest, RunsNoStepsWhileIdle) {
  Start(SmallModel(4));
  for (int i = 1; i <= 3; ++i) {
    Submit(MakeRequest("r", 4, 4))->Wait();
    EXPECT_EQ(engine_->load().num_steps, static_cast<uint64_t>(i));
  }
}

TEST(EngineObserverTest, HearsOfEveryStepAndEveryEnd) {
  int num_steps = 0;
  int num_done = 0;
  EngineObserver observer;
  observer.on_step = [&](const StepStats& stats) {
    ++num_steps;
    EXPECT_EQ(stats.num_rows, 1);
  };
  observer.on_done = [&](const RequestResult& result) {
    ++num_done;
    EXPECT_EQ(result.completion_tokens, 8);
  };
  auto engine =
      Engine::Create(std::make_unique<FakeModel>(SmallModel(4)), {}, observer);
  auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(engine->Generate(MakeRequest("r", 4, 8), sink).ok());
  sink->Wait();
  engine.reset();
  EXPECT_EQ(num_steps, 2);
  EXPECT_EQ(num_done, 1);
}

}  // namespace
}  // namespace blockserve
