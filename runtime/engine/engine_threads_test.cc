// Many threads at once: submitting, aborting, looking.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/test_support.h"

namespace blockserve {
namespace {

TEST(EngineThreadsTest, ServesManyThreadsAndLosesNothing) {
  constexpr int kNumThreads = 4;
  constexpr int kRequestsPerThread = 100;
  FakeModelOptions model_options = SmallModel(4, /*num_sequences=*/8);
  model_options.eos_period = 40;
  EngineOptions options;
  options.max_waiting_requests = 16;
  auto owned = std::make_unique<FakeModel>(model_options);
  const FakeModel* model = owned.get();
  auto engine = Engine::Create(std::move(owned), options);

  std::atomic<int> num_ok{0}, num_cancelled{0}, num_refused{0};
  const auto client = [&](int thread) {
    std::mt19937 random(thread);
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (int i = 0; i < kRequestsPerThread; ++i) {
      const std::string id = absl::StrCat(thread, "-", i);
      auto sink = std::make_shared<RecordingSink>();
      const absl::Status status = engine->Generate(
          MakeRequest(id, 1 + random() % 40, 1 + random() % 60), sink);
      if (!status.ok()) {
        EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
        ++num_refused;
        if (!sinks.empty()) sinks.back()->Wait();
        continue;
      }
      sinks.push_back(std::move(sink));
      if (random() % 3 == 0) {
        engine->Abort(absl::StrCat(thread, "-", random() % (i + 1)));
      }
      if (random() % 5 == 0) sinks[random() % sinks.size()]->Wait();
    }
    for (const auto& sink : sinks) {
      const RequestResult result = sink->Wait();
      if (result.status.ok()) {
        ++num_ok;
      } else {
        EXPECT_EQ(result.status.code(), absl::StatusCode::kCancelled);
        ++num_cancelled;
      }
    }
  };
  std::atomic<bool> is_over{false};
  std::thread watcher([&] {
    uint64_t num_steps = 0;
    while (!is_over) {
      const EngineLoad load = engine->load();
      EXPECT_GE(load.num_steps, num_steps);
      EXPECT_LE(load.num_running, 8);
      EXPECT_LE(load.num_waiting, 16);
      EXPECT_TRUE(engine->health().ok());
      num_steps = load.num_steps;
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < kNumThreads; ++i) clients.emplace_back(client, i);
  for (std::thread& thread : clients) thread.join();
  is_over = true;
  watcher.join();

  EXPECT_EQ(num_ok + num_cancelled + num_refused,
            kNumThreads * kRequestsPerThread);
  EXPECT_GT(num_ok, 0);
  engine->Drain(absl::InfiniteFuture());
  EXPECT_EQ(engine->load().pages_used, 0);
  EXPECT_EQ(engine->load().num_running, 0);
  EXPECT_TRUE(model->CheckAll().ok()) << model->CheckAll();
}

TEST(EngineThreadsTest, DrainRacesWithSubmission) {
  for (int round = 0; round < 20; ++round) {
    auto engine =
        Engine::Create(std::make_unique<FakeModel>(SmallModel(4)), {});
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    std::thread submitter([&] {
      for (int i = 0;; ++i) {
        auto sink = std::make_shared<RecordingSink>();
        if (!engine->Generate(MakeRequest(absl::StrCat(i), 4, 12), sink).ok()) {
          return;
        }
        sinks.push_back(sink);
      }
    });
    engine->Drain(absl::InfinitePast());
    submitter.join();
    for (const auto& sink : sinks) EXPECT_TRUE(sink->is_done());
  }
}

}  // namespace
}  // namespace blockserve
