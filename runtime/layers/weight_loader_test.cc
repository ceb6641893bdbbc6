#include "runtime/layers/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/reference/reference_ops.h"
#include "runtime/weights/safetensors_builder.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// 0, 1, 2, ... times `step`.
std::vector<float> Ramp(int count, float step) {
  std::vector<float> values(count);
  for (int i = 0; i < count; ++i) values[i] = static_cast<float>(i) * step;
  return values;
}

class WeightLoaderTest : public ::testing::Test {
 protected:
  // Rows of q, k, v are told apart by their values: row r of q holds r + 1,
  // of k 10 (r + 1), of v 100 (r + 1).
  void SetUp() override {
    SafetensorsBuilder builder;
    float factor = 1;
    for (const char* name : {"q", "k", "v"}) {
      std::vector<float> weight;
      std::vector<float> bias;
      for (int row = 0; row < 4; ++row) {
        weight.insert(weight.end(), {factor * (row + 1), 0});
        bias.push_back(factor * (row + 1) + 0.5f);
      }
      const std::string prefix = name;
      builder.Add<float>(prefix + ".weight", "F32", {4, 2}, weight);
      builder.Add<float>(prefix + ".bias", "F32", {4}, bias);
      factor *= 10;
    }
    builder.Add<float>("table.weight", "F32", {3, 2}, Ramp(6, 0.3f));
    builder.Add<float>("conv.weight", "F32", {3, 2, 1}, Ramp(6, 1));
    const std::string directory = ::testing::TempDir() + "/weight_loader";
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/model.safetensors", std::ios::binary)
        << builder.Build();
    auto checkpoint = Checkpoint::Open(directory);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    checkpoint_ = *std::move(checkpoint);
  }

  // What a dense layer makes of `input`.
  static std::vector<float> Apply(Ops& ops, const Dense& dense,
                                  std::vector<float> input) {
    std::vector<float> output(dense.out_dim());
    dense.Apply(
        ops, TensorView(input.data(), DType::kFloat32, {1, dense.in_dim()}),
        TensorView(output.data(), DType::kFloat32, {1, dense.out_dim()}));
    return output;
  }

  std::unique_ptr<Ops> ops_ = CreateReferenceOps(DType::kFloat32);
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_F(WeightLoaderTest, InterleavesHeads) {
  WeightLoader loader(*checkpoint_, *ops_);
  const auto without_bias = loader.LoadInterleavedHeads(
      {"q", "k", "v"}, /*has_bias=*/false, /*num_heads=*/2, /*head_dim=*/2, 2);
  ASSERT_TRUE(without_bias.ok()) << without_bias.status();
  EXPECT_THAT(Apply(*ops_, *without_bias, {1, 7}),
              ElementsAre(1, 2, 10, 20, 100, 200, 3, 4, 30, 40, 300, 400));
  const auto with_bias = loader.LoadInterleavedHeads(
      {"q", "k", "v"}, /*has_bias=*/true, /*num_heads=*/2, /*head_dim=*/2, 2);
  ASSERT_TRUE(with_bias.ok()) << with_bias.status();
  EXPECT_THAT(Apply(*ops_, *with_bias, {0, 0}),
              ElementsAre(1.5, 2.5, 10.5, 20.5, 100.5, 200.5, 3.5, 4.5, 30.5,
                          40.5, 300.5, 400.5));
}

TEST_F(WeightLoaderTest, TakesOnlyItsHeads) {
  WeightLoader loader(*checkpoint_, *ops_);
  const auto second = loader.LoadInterleavedHeads(
      {"q", "k", "v"}, /*has_bias=*/true, /*num_heads=*/2, /*head_dim=*/2, 2,
      /*heads=*/{1, 2});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_THAT(Apply(*ops_, *second, {1, 0}),
              ElementsAre(6.5, 8.5, 60.5, 80.5, 600.5, 800.5));
}

TEST_F(WeightLoaderTest, AColumnParallelDenseIsSomeOutputs) {
  WeightLoader loader(*checkpoint_, *ops_);
  const int64_t before = checkpoint_->bytes_read();
  const auto part = loader.LoadColumnParallel("q", 4, 2, /*rows=*/{1, 3});
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_THAT(Apply(*ops_, *part, {1, 0}), ElementsAre(4.5, 6.5));
  // Half of the matrix, and the bias.
  EXPECT_EQ(checkpoint_->bytes_read() - before, (2 * 2 + 4) * 4);
}

TEST_F(WeightLoaderTest, RowParallelPartsAddUpToTheWhole) {
  WeightLoader loader(*checkpoint_, *ops_);
  const auto whole = loader.LoadDense("q", 4, 2);
  const auto first =
      loader.LoadRowParallel("q", 4, 2, /*columns=*/{0, 1}, /*has_bias=*/true);
  const int64_t before = checkpoint_->bytes_read();
  const auto second =
      loader.LoadRowParallel("q", 4, 2, /*columns=*/{1, 2}, /*has_bias=*/false);
  ASSERT_TRUE(whole.ok() && first.ok() && second.ok());
  EXPECT_EQ(checkpoint_->bytes_read() - before, 4 * 4);
  const std::vector<float> a = Apply(*ops_, *first, {2});
  const std::vector<float> b = Apply(*ops_, *second, {3});
  const std::vector<float> sum = Apply(*ops_, *whole, {2, 3});
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(a[i] + b[i], sum[i]);
}

TEST_F(WeightLoaderTest, ReadsAWidthOneConvolutionAsAMatrixAndScales) {
  WeightLoader loader(*checkpoint_, *ops_);
  Dense dense;
  auto matrix = loader.LoadMatrix("conv.weight", 3, 2, {.scale = 0.5f});
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  dense.weight = *std::move(matrix);
  EXPECT_THAT(Apply(*ops_, dense, {2, 2}), ElementsAre(1, 5, 9));
}

TEST_F(WeightLoaderTest, RoundsATableToTheBackendsType) {
  const auto ops = CreateReferenceOps(DType::kBFloat16);
  WeightLoader loader(*checkpoint_, *ops);
  const auto table = loader.LoadTable("table.weight", 3, 2);
  ASSERT_TRUE(table.ok()) << table.status();
  const std::vector<int32_t> ids = {2, 1};
  std::vector<float> output(4);
  table->Lookup(
      *ops, TensorView(const_cast<int32_t*>(ids.data()), DType::kInt32, {2}),
      TensorView(output.data(), DType::kFloat32, {2, 2}));
  const std::vector<float> stored = Ramp(6, 0.3f);
  for (int i : {0, 1}) {
    EXPECT_EQ(output[i], ToFloat(ToBFloat16(stored[4 + i])));
    EXPECT_EQ(output[2 + i], ToFloat(ToBFloat16(stored[2 + i])));
  }
}

TEST_F(WeightLoaderTest, CountsPartsAndTiedParametersOnce) {
  WeightLoader loader(*checkpoint_, *ops_);
  loader.BeginPart("a");
  ASSERT_TRUE(loader.LoadDense("q", 4, 2).ok());
  loader.BeginPart("b");
  ASSERT_TRUE(loader.LoadTable("table.weight", 3, 2).ok());
  ASSERT_TRUE(loader.LoadMatrix("table.weight", 3, 2, {.tied = true}).ok());
  ASSERT_EQ(loader.parts().size(), 2u);
  EXPECT_EQ(loader.parts()[0].name, "a");
  EXPECT_EQ(loader.parts()[0].num_parameters, 4 * 2 + 4);
  EXPECT_EQ(loader.parts()[1].num_parameters, 3 * 2);
  EXPECT_GE(loader.parts()[1].num_bytes, 2 * 3 * 2 * 4);
}

// Extents come from a configuration: a wrong one must not take the memory that
// it asks for.
TEST_F(WeightLoaderTest, RefusesSizesTheFileDoesNotHave) {
  WeightLoader loader(*checkpoint_, *ops_);
  const int64_t huge = int64_t{1} << 40;
  for (const absl::Status& status :
       {loader.LoadMatrix("q.weight", huge, 2).status(),
        loader.LoadTable("q.weight", huge, 2).status(),
        loader.LoadVector("q.weight", huge).status(),
        loader.LoadOnHost("q.weight", {huge}).status(),
        loader
            .LoadInterleavedHeads({"q", "k", "v"}, /*has_bias=*/false, 2, 2,
                                  huge)
            .status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("q.weight"));
  }
}

TEST_F(WeightLoaderTest, PicksTheStoredOneOfTiedNames) {
  WeightLoader loader(*checkpoint_, *ops_);
  EXPECT_EQ(loader.FirstStored({"head.weight", "table.weight", "q.weight"}),
            "table.weight");
  EXPECT_EQ(loader.FirstStored({"head.weight", "other.weight"}), "head.weight");
}

}  // namespace
}  // namespace blockserve
