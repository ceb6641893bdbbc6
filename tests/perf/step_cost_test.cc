// What one decode step asks of a device and of the heap stays within bounds: a
// regression is found without timing anything.
//
// Bounds, not equalities: a backend or model that finds less to do may.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/profile/timed_ops.h"
#include "runtime/bench/bench_model.h"
#include "runtime/model/model.h"

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

constexpr int kMaxBatch = 8;
constexpr int kLinearsPerLayer = 4;  // qkv, attention output, FFN up and down
// Small nodes that oneDNN 2.6 takes from the heap for one product: 7.7
// measured.
constexpr int64_t kHeapNodesPerProduct = 8;

// Every test decodes with a published shape on the CPU backend.
class StepCostTest : public ::testing::Test {
 protected:
  void Load(const std::string& name) {
    BenchModel source = *RandomBenchModel(name, /*seed=*/1);
    auto cpu = CreateCpuOps(DType::kFloat32, /*num_threads=*/1);
    ASSERT_TRUE(cpu.ok()) << cpu.status();
    ops_ = std::make_unique<TimedOps>(*std::move(cpu),
                                      [] { return absl::UnixEpoch(); });
    ModelOptions options;
    options.limits = LimitsFor(source.config, {.batch = kMaxBatch,
                                               .prefill = 64,
                                               .decode = 64,
                                               .max_prefill_units = 8});
    options.on_part = [this](StepPart part) {
      ops_->SetPart(static_cast<int>(part));
    };
    const auto checkpoint = *source.open_checkpoint();
    auto model = LoadModel(source.config, *checkpoint, options, *ops_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
  }

  // The second of two equal decode steps; the first makes what is made once.
  // Returns its allocations.
  int64_t DecodeStep(int batch, int position) {
    const int length = model_->tokens_per_step();
    const std::vector<int32_t> tokens(static_cast<size_t>(length), 7);
    const int pages_each = model_->limits().num_pages / kMaxBatch;
    std::vector<std::vector<int32_t>> pages(batch);
    std::vector<SequenceChunk> chunks(batch);
    for (int i = 0; i < batch; ++i) {
      for (int page = 0; page < pages_each; ++page) {
        pages[i].push_back(i * pages_each + page);
      }
      chunks[i].tokens = tokens;
      chunks[i].pages = pages[i];
      chunks[i].unit_begin = chunks[i].cache_length = position;
      chunks[i].num_outputs = 1;
    }
    const std::vector<DecodeRow> rows(batch);
    const StepInput input{chunks, rows, length};
    EXPECT_TRUE(model_->Step(input).ok());
    ops_->Reset();
    const int64_t before = num_allocations.load();
    const bool is_ok = model_->Step(input).ok();
    const int64_t after = num_allocations.load();
    EXPECT_TRUE(is_ok);
    return after - before;
  }

  int64_t Calls(StepPart part, OpKind kind) const {
    return ops_->times()[static_cast<int>(part)][static_cast<int>(kind)]
        .num_calls;
  }
  int64_t Calls() const {
    int64_t sum = 0;
    for (const auto& part : ops_->times()) {
      for (const OpTime& time : part) sum += time.num_calls;
    }
    return sum;
  }
  int64_t Products() const {
    int64_t sum = 0;
    for (int part = 0; part < kNumStepParts; ++part) {
      sum += Calls(static_cast<StepPart>(part), OpKind::kLinear) +
             Calls(static_cast<StepPart>(part), OpKind::kSampling);
    }
    return sum;
  }

  // The cached trunk's `layers` layers and the step's input and output.
  void ExpectCachedTrunkWithin(int layers) const {
    const StepPart part = StepPart::kCachedTrunk;
    EXPECT_LE(Calls(part, OpKind::kLinear), kLinearsPerLayer * layers);
    EXPECT_LE(Calls(part, OpKind::kAttention), /*store, attend=*/2 * layers);
    EXPECT_LE(Calls(part, OpKind::kOther), /*norms=*/layers + 1);
    EXPECT_EQ(Calls(part, OpKind::kSampling), 0);
    EXPECT_LE(Calls(StepPart::kInput, OpKind::kOther), 1);
    EXPECT_LE(Calls(StepPart::kEmbedder, OpKind::kOther), 1);
    EXPECT_LE(Calls(StepPart::kOutput, OpKind::kOther),
              /*tokens, log-probabilities=*/2);
  }

  std::unique_ptr<TimedOps> ops_;
  std::unique_ptr<Model> model_;
};

TEST_F(StepCostTest, ABlockStepIsOnePassOfEachDecoderAndFourHeads) {
  Load("block_main_b4_5");  // 3 + 3 layers, 4 passes
  DecodeStep(/*batch=*/4, /*position=*/20);
  ExpectCachedTrunkWithin(3);
  const StepPart part = StepPart::kTokenDecoder;
  EXPECT_LE(Calls(part, OpKind::kLinear),
            /*expansion=*/1 + 4 * kLinearsPerLayer * 3);
  EXPECT_LE(Calls(part, OpKind::kAttention), 4 * 3);
  // Norms; ids fed back; where the prefix goes on with its last position: two
  // gathers and a norm by itself.
  EXPECT_LE(Calls(part, OpKind::kOther), 4 * (3 + 1) + 3 + 3);
  EXPECT_LE(Calls(part, OpKind::kSampling), 4);
  EXPECT_GT(Calls(part, OpKind::kSampling), 0);
}

TEST_F(StepCostTest, AMegabyteStepAddsItsTokensIntoTheContext) {
  Load("block_megabyte_b4_5");  // 5 + 4 layers, 4 passes
  DecodeStep(/*batch=*/4, /*position=*/20);
  ExpectCachedTrunkWithin(5);
  const StepPart part = StepPart::kTokenDecoder;
  EXPECT_LE(Calls(part, OpKind::kLinear),
            /*expansion=*/1 + 4 * kLinearsPerLayer * 4);
  EXPECT_LE(Calls(part, OpKind::kAttention), 4 * 4);
  // Norms; the context's column of each pass; ids added to it.
  EXPECT_LE(Calls(part, OpKind::kOther), 4 * (4 + 1) + 4 + 4);
  EXPECT_LE(Calls(part, OpKind::kSampling), 4);
}

TEST_F(StepCostTest, AVanillaStepIsItsLayersAndOneHead) {
  Load("vanilla_31");  // 6 layers
  DecodeStep(/*batch=*/4, /*position=*/20);
  ExpectCachedTrunkWithin(6);
  EXPECT_EQ(Calls(StepPart::kTokenDecoder, OpKind::kLinear), 0);
  EXPECT_LE(Calls(StepPart::kTokenDecoder, OpKind::kSampling), 1);
}

TEST_F(StepCostTest, NeitherBatchNorContextAddsOperations) {
  Load("block_main_b4_5");
  DecodeStep(/*batch=*/1, /*position=*/1);
  const int64_t calls = Calls();
  EXPECT_GT(calls, 0);
  for (const auto& [batch, position] :
       {std::pair(8, 1), std::pair(1, 30), std::pair(8, 30)}) {
    DecodeStep(batch, position);
    EXPECT_EQ(Calls(), calls) << batch << " at " << position;
  }
}

TEST_F(StepCostTest, TheHeapIsLeftToOneDnnsNodes) {
  for (const char* name :
       {"block_main_b4_5", "block_megabyte_b4_5", "vanilla_31"}) {
    Load(name);
    for (const int batch : {1, 8}) {
      const int64_t allocations = DecodeStep(batch, /*position=*/20);
      EXPECT_LE(allocations, kHeapNodesPerProduct * Products())
          << name << ", batch " << batch;
    }
    model_ = nullptr;  // before its device
  }
}

TEST(AllocationCounterTest, Counts) {
  const int64_t before = num_allocations.load();
  std::vector<std::vector<int>> vectors(2);
  for (std::vector<int>& vector : vectors) vector.resize(100);
  EXPECT_EQ(num_allocations.load() - before, 3);
}

}  // namespace
}  // namespace blockserve
