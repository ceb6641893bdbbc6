// Steps of sequences that are under way take no memory.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/engine/test_support.h"

namespace {
std::atomic<int64_t> num_allocations{0};
}  // namespace

// Not inlined: g++ would take malloc and delete for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t num_bytes) {
  num_allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(num_bytes == 0 ? 1 : num_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace blockserve {
namespace {

// Does as little as a sink can.
class CountingSink final : public RequestSink {
 public:
  void OnTokens(const TokenDelta& delta) override {
    num_tokens += delta.tokens.size();
    num_logprobs += delta.logprobs.size();
  }
  void OnDone(const RequestResult&) override {}
  size_t num_tokens = 0;
  size_t num_logprobs = 0;
};

int64_t AllocationsInSteps(CoreHarness& harness, int num_steps) {
  const int64_t before = num_allocations.load();
  for (int i = 0; i < num_steps; ++i) {
    harness.core().Schedule();
    harness.core().RunStep();
  }
  return num_allocations.load() - before;
}

TEST(AllocationTest, TheCounterCounts) {
  const int64_t before = num_allocations.load();
  std::vector<std::vector<int>> vectors(2);
  for (std::vector<int>& vector : vectors) vector.resize(100);
  EXPECT_EQ(num_allocations.load() - before, 3);
}

TEST(AllocationTest, DecodingAndPrefillingAllocateNothing) {
  FakeModelOptions options = SmallModel(4, /*num_sequences=*/8);
  CoreHarness harness(options);
  std::vector<std::shared_ptr<CountingSink>> sinks;
  for (int i = 0; i < 8; ++i) {
    GenerateRequest request =
        MakeRequest(absl::StrCat("r", i), 9 + 16 * i, 120);
    if (i % 2 == 0) {
      request.sampling.temperature = 1.0f;
      request.sampling.frequency_penalty = 0.5f;
      request.sampling.logprobs = 20;
      request.sampling.min_tokens = 60;
    }
    sinks.push_back(std::make_shared<CountingSink>());
    harness.core().Add(std::make_unique<ActiveRequest>(
        harness.core().model().config(), request, sinks.back(), harness.now));
  }
  harness.Step();  // admits
  EXPECT_EQ(harness.core().load().num_running, 8);
  EXPECT_EQ(AllocationsInSteps(harness, 25), 0);
  EXPECT_EQ(harness.core().load().num_running, 8);
  EXPECT_GE(sinks[0]->num_tokens, 100u);
  EXPECT_EQ(sinks[0]->num_logprobs, sinks[0]->num_tokens);
  harness.RunToEnd();
}

}  // namespace
}  // namespace blockserve
