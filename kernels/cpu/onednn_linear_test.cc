#include "kernels/cpu/onednn_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/row_buckets.h"

namespace blockserve::cpu {
namespace {

constexpr int64_t kInDim = 96;
constexpr int64_t kOutDim = 80;

std::vector<float> RandomValues(int64_t count) {
  std::mt19937 generator(1);
  std::vector<float> values(count);
  for (float& value : values) {
    value = ToFloat(ToBFloat16(generator() * 0x1p-31f - 1.0f));
  }
  return values;
}

class OneDnnLinearTest : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (GetParam() == DType::kBFloat16 && !HasBFloat16()) {
      GTEST_SKIP() << "no bf16 on this CPU";
    }
    auto engine = OneDnnLinear::Create(GetParam(), /*num_threads=*/2);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    const std::vector<float> weight = RandomValues(kOutDim * kInDim);
    weight_ = *engine_->Pack(weight.data(), kOutDim, kInDim);
    const std::vector<float> values = RandomValues(kMaxRows * kInDim);
    if (GetParam() == DType::kBFloat16) {
      for (float value : values) bf16_input_.push_back(ToBFloat16(value));
    } else {
      input_ = values;
    }
  }

  // Of the first `rows` rows.
  std::vector<float> Multiply(int64_t rows, Activation activation) {
    void* input = GetParam() == DType::kBFloat16
                      ? static_cast<void*>(bf16_input_.data())
                      : input_.data();
    std::vector<float> output(PadToRowBuckets(rows) * kOutDim);
    EXPECT_TRUE(
        engine_
            ->Run({.input = TensorView(input, GetParam(), {rows, kInDim}),
                   .weight = weight_.get(),
                   .activation = activation,
                   .output = TensorView(output.data(), DType::kFloat32,
                                        {rows, kOutDim})})
            .ok());
    output.resize(rows * kOutDim);
    return output;
  }

  static constexpr int64_t kMaxRows = 2 * kMaxBucketRows;

  std::unique_ptr<OneDnnLinear> engine_;
  std::unique_ptr<Matrix> weight_;
  std::vector<float> input_;
  std::vector<BFloat16> bf16_input_;
};

TEST_P(OneDnnLinearTest, MakesNoPrimitiveInASecondPass) {
  engine_->set_max_rows(200);
  Multiply(3, Activation::kNone);
  Multiply(3, Activation::kGelu);
  const int64_t num_primitives = engine_->num_primitives();
  EXPECT_EQ(num_primitives, 2 * (RowBucketOf(200) + 1));
  for (int64_t rows = 1; rows <= 200; ++rows) {
    Multiply(rows, Activation::kNone);
    Multiply(rows, Activation::kGelu);
  }
  EXPECT_EQ(engine_->num_primitives(), num_primitives);
}

// The reference implementation is a thousand times slower than the others.
TEST_P(OneDnnLinearTest, RunsNoReferenceImplementation) {
  engine_->set_max_rows(kMaxBucketRows);
  for (Activation activation : {Activation::kNone, Activation::kGelu,
                                Activation::kGeluTanh, Activation::kRelu}) {
    Multiply(1, activation);
  }
  ASSERT_FALSE(engine_->implementations().empty());
  for (const std::string& name : engine_->implementations()) {
    EXPECT_EQ(name.find("ref"), std::string::npos) << name;
  }
}

TEST_P(OneDnnLinearTest, RowsDoNotDependOnTheTileTheyAreIn) {
  const std::vector<float> all =
      Multiply(kMaxBucketRows + 100, Activation::kNone);
  for (int64_t rows : {1, 5, 16, 100}) {
    const std::vector<float> some = Multiply(rows, Activation::kNone);
    for (size_t i = 0; i < some.size(); ++i) {
      ASSERT_NEAR(some[i], all[i], 1e-4) << rows << " rows, element " << i;
    }
  }
}

// The engine's thread is not the one that makes the Ops.
TEST_P(OneDnnLinearTest, GivesTheSameInAnotherThread) {
  const std::vector<float> here = Multiply(70, Activation::kGelu);
  std::vector<float> there;
  std::thread([&] { there = Multiply(70, Activation::kGelu); }).join();
  EXPECT_EQ(std::memcmp(here.data(), there.data(), here.size() * sizeof(float)),
            0);
}

INSTANTIATE_TEST_SUITE_P(Types, OneDnnLinearTest,
                         testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const testing::TestParamInfo<DType>& info) {
                           return std::string(NameOf(info.param));
                         });

}  // namespace
}  // namespace blockserve::cpu
