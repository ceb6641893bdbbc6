#include "runtime/bench/bench_model.h"

#include <gtest/gtest.h>

#include <memory>

#include "kernels/reference/reference_ops.h"

namespace blockserve {
namespace {

TEST(PlanMemoryTest, PoolsAreThoseOfTheLoadedModel) {
  const auto device = CreateReferenceOps(DType::kFloat32);
  const BenchModel model = *RandomBenchModel("block_main_b4_5", 1);
  const BatchShape shape{
      .batch = 3, .prefill = 20, .decode = 44, .max_prefill_units = 8};
  const auto planned = PlanMemory(model, shape, 1, *device);
  ASSERT_TRUE(planned.ok()) << planned.status();

  ModelOptions options;
  options.limits = LimitsFor(model.config, shape);
  const auto checkpoint = *model.open_checkpoint();
  const auto loaded = *LoadModel(model.config, *checkpoint, options, *device);
  int64_t weights = 0;
  for (const PartSize& part : loaded->parts()) weights += part.num_bytes;
  EXPECT_EQ(planned->weights, weights);
  EXPECT_EQ(planned->scratch, static_cast<int64_t>(loaded->scratch_bytes()));
  // 64 tokens are 16 blocks and one more for a cut: two pages; 2 (K, V) x 3
  // layers x 256 floats a position.
  EXPECT_EQ(planned->kv_cache, int64_t{3} * 2 * 16 * 2 * 3 * 256 * 4);
}

TEST(PlanMemoryTest, RanksSplitTheCacheAndRepeatTheTokenDecoder) {
  const auto device = CreateReferenceOps(DType::kFloat32);
  const BenchModel model = *RandomBenchModel("block_main_b4_5", 1);
  const BatchShape shape{.batch = 2, .prefill = 64, .decode = 64};
  const MemoryPools one = *PlanMemory(model, shape, 1, *device);
  const MemoryPools two = *PlanMemory(model, shape, 2, *device);
  EXPECT_EQ(two.kv_cache, one.kv_cache);
  EXPECT_GT(two.weights, 1.5 * one.weights);
  EXPECT_LT(two.weights, 2 * one.weights);
}

TEST(BenchModelTest, NamesAndDirectoriesThatAreNotThereAreErrors) {
  EXPECT_EQ(RandomBenchModel("b4_85", 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BenchModelFromDirectory("/nonexistent").status().code(),
            absl::StatusCode::kNotFound);
}

// Sizes in steps, as padding makes them.
int64_t Staircase(int batch) { return 1000 + batch * 10 + batch / 16 * 100; }

TEST(LargestBatchTest, NothingLargerFits) {
  for (const int64_t limit : {1010, 1500, 5000, 77777, 1000000}) {
    int num_probes = 0;
    const auto batch = LargestBatch(limit, 1 << 20, [&](int probe) {
      ++num_probes;
      return absl::StatusOr<int64_t>(Staircase(probe));
    });
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_LE(Staircase(*batch), limit);
    // To within a stair.
    EXPECT_GT(Staircase(*batch + 16), limit);
    EXPECT_LE(num_probes, 13);
  }
}

TEST(LargestBatchTest, StopsAtTheLargestAllowed) {
  EXPECT_EQ(*LargestBatch(1 << 30, 48,
                          [](int batch) {
                            return absl::StatusOr<int64_t>(Staircase(batch));
                          }),
            48);
}

TEST(LargestBatchTest, OneSequenceThatDoesNotFitIsAnError) {
  const auto batch = LargestBatch(1009, 48, [](int probe) {
    return absl::StatusOr<int64_t>(Staircase(probe));
  });
  EXPECT_EQ(batch.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace blockserve
