// Greedy rows without any wish need not have their logits in memory; whether
// they do must not change a token.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/api/sample_args.h"
#include "kernels/cpu/cpu_ops.h"

namespace blockserve {
namespace {

constexpr int64_t kDim = 64;
constexpr int64_t kVocabSize = 40 * 32 + 7;
constexpr int32_t kForced = 99;

class GreedyTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!CpuHasBFloat16()) GTEST_SKIP() << "no bf16 on this CPU";
    ops_ = *CreateCpuOps(DType::kBFloat16, GetParam());
  }

  // Ids 3, 700 and 1285 have equal logits in every row, as do 40 and 41: among
  // the largest of a third of the rows.
  std::unique_ptr<Matrix> Head() {
    std::mt19937 generator(1);
    std::vector<float> weights(kVocabSize * kDim);
    for (float& weight : weights) weight = generator() * 0x1p-32f;
    for (int64_t i = 0; i < kDim; ++i) {
      weights[3 * kDim + i] = 2.0f;
      weights[700 * kDim + i] = weights[1285 * kDim + i] = 2.0f;
      weights[40 * kDim + i] = weights[41 * kDim + i] = -2.0f;
    }
    return *ops_->PackMatrix(weights.data(), kVocabSize, kDim);
  }

  // Rows that want the first of equal logits, rows with anything, broken ones.
  std::vector<BFloat16> Inputs(int64_t num_rows) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    std::mt19937 generator(2);
    std::vector<BFloat16> inputs;
    for (int64_t row = 0; row < num_rows; ++row) {
      for (int64_t i = 0; i < kDim; ++i) {
        float value = generator() * 0x1p-32f;
        if (row % 3 == 1) value = -value;
        if (row % 3 == 2) value -= 0.5f;
        if (row == 6) value = 0.0f;
        if (row == 7 && i == 5) value = std::nanf("");
        if (row == 8 && i == 5) value = kInfinity;
        if (row == 9 && i == 5) value = -kInfinity;
        inputs.push_back(ToBFloat16(value));
      }
    }
    return inputs;
  }

  std::vector<int32_t> Sample(std::vector<BFloat16>& inputs, int64_t num_rows,
                              const Matrix& head, bool with_logits) {
    std::vector<SampleRow> rows(num_rows);
    for (int64_t row = 10; row < num_rows; row += 7) rows[row].num_forced = 1;
    std::vector<int32_t> tokens(num_rows, kForced);
    std::vector<float> logits(with_logits ? num_rows * kVocabSize : 0);
    inputs.resize(ops_->PaddedRows(num_rows) * kDim);
    SampleArgs args = {
        .rows = rows,
        .tokens = TensorView(tokens.data(), DType::kInt32, {num_rows, 1})};
    if (with_logits) {
      args.logits =
          TensorView(logits.data(), DType::kFloat32, {num_rows, kVocabSize});
    }
    ops_->SampleTokens(
        TensorView(inputs.data(), DType::kBFloat16, {num_rows, kDim}), head,
        args);
    EXPECT_TRUE(ops_->Synchronize().ok());
    return tokens;
  }

  std::unique_ptr<Ops> ops_;
};

INSTANTIATE_TEST_SUITE_P(Threads, GreedyTest, testing::Values(1, 3));

TEST_P(GreedyTest, TakesTheSameTokensWithAndWithoutLogits) {
  const std::unique_ptr<Matrix> head = Head();
  for (const int64_t num_rows : {1, 2, 3, 10, 33, 400}) {
    SCOPED_TRACE(num_rows);
    std::vector<BFloat16> inputs = Inputs(num_rows);
    EXPECT_EQ(Sample(inputs, num_rows, *head, false),
              Sample(inputs, num_rows, *head, true));
  }
}

TEST_P(GreedyTest, TakesTheLowestIdOnATie) {
  const std::unique_ptr<Matrix> head = Head();
  std::vector<BFloat16> inputs = Inputs(33);
  const std::vector<int32_t> tokens = Sample(inputs, 33, *head, false);
  EXPECT_EQ(tokens[0], 3);
  EXPECT_EQ(tokens[1], 40);
  EXPECT_EQ(tokens[6], 0);
  // Few rows look at ids in another order.
  for (const int64_t num_rows : {1, 2}) {
    EXPECT_EQ(Sample(inputs, num_rows, *head, false)[0], 3);
  }
}

TEST_P(GreedyTest, ReportsBrokenRowsAndLeavesForcedTokens) {
  constexpr int64_t kNumRows = 20;
  const std::unique_ptr<Matrix> head = Head();
  std::vector<BFloat16> inputs = Inputs(kNumRows);
  const std::vector<int32_t> tokens = Sample(inputs, kNumRows, *head, false);
  EXPECT_EQ(tokens[7], kInvalidToken);  // NaN
  EXPECT_EQ(tokens[8], kInvalidToken);  // +infinity
  EXPECT_EQ(tokens[10], kForced);
  EXPECT_EQ(tokens[17], kForced);
  EXPECT_NE(tokens[11], kInvalidToken);
}

}  // namespace
}  // namespace blockserve
