#include "runtime/bench/batch_run.h"

#include <gtest/gtest.h>

#include <memory>

#include "absl/status/status.h"
#include "runtime/model/fake_model.h"

namespace blockserve {
namespace {

constexpr BatchShape kShape = {
    .batch = 3, .prefill = 10, .decode = 8, .max_prefill_units = 4};

FakeModelOptions ModelFor(const BatchShape& shape) {
  FakeModelOptions options;
  options.eos_period = 3;  // not to end a sequence
  options.limits = {.max_units_per_step = shape.batch + shape.max_prefill_units,
                    .max_rows_per_step = shape.batch,
                    .max_sequences_per_step = shape.batch,
                    .max_units_per_sequence = 16,
                    .num_pages = shape.batch};
  return options;
}

TEST(BatchRunTest, EverySequenceGetsItsTokensAndStepsAreToldApart) {
  BatchRunner runner(std::make_unique<FakeModel>(ModelFor(kShape)), kShape);
  const auto times = runner.Run(kShape, 1);
  ASSERT_TRUE(times.ok()) << times.status();
  EXPECT_GT(times->num_steps, 2);
  EXPECT_GT(times->prefill, absl::ZeroDuration());
  EXPECT_GT(times->decode, absl::ZeroDuration());
  EXPECT_GE(times->total, times->prefill + times->decode);
  // Each sequence's first block comes with the last of its prompt.
  EXPECT_LE(times->decode_tokens, 3 * 4);
  EXPECT_GT(times->decode_tokens, 0);
}

TEST(BatchRunTest, ManyBatchesRunOneAfterTheOther) {
  BatchRunner runner(std::make_unique<FakeModel>(ModelFor(kShape)), kShape);
  BatchTimes sum;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const auto times = runner.Run(kShape, seed);
    ASSERT_TRUE(times.ok()) << times.status();
    sum += *times;
  }
  EXPECT_GE(sum.num_steps, 9);
}

TEST(BatchRunTest, AStepThatFailsEndsTheRun) {
  FakeModelOptions options = ModelFor(kShape);
  options.before_step = [](int step, const StepInput&) {
    return step == 1 ? absl::InternalError("broken") : absl::OkStatus();
  };
  BatchRunner runner(std::make_unique<FakeModel>(options), kShape);
  const auto times = runner.Run(kShape, 1);
  EXPECT_EQ(times.status().code(), absl::StatusCode::kInternal);
}

TEST(BatchRunTest, ABatchThatIsTooLargeForTheModelIsRefused) {
  FakeModelOptions options = ModelFor(kShape);
  options.limits.num_pages = 1;
  options.limits.max_units_per_sequence = 2;
  BatchRunner runner(std::make_unique<FakeModel>(options), kShape);
  EXPECT_EQ(runner.Run(kShape, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace blockserve
