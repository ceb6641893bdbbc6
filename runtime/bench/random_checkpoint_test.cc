#include "runtime/bench/random_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/profile/sizing_ops.h"
#include "kernels/reference/reference_ops.h"
#include "runtime/config/published_models.h"
#include "runtime/model/model.h"

namespace blockserve {
namespace {

constexpr char kExpansion[] = "token_decoder.expansion_layer.weight";

std::unique_ptr<Checkpoint> Make(const std::string& name, uint64_t seed = 1) {
  return *CreateRandomCheckpoint(*PublishedModelConfig(name), seed);
}

std::vector<float> Slice(Checkpoint& checkpoint, Range rows, Range columns) {
  std::vector<float> values(static_cast<size_t>(rows.size() * columns.size()));
  EXPECT_TRUE(checkpoint
                  .ReadSlice(kExpansion, 512, 256, rows, columns,
                             absl::MakeSpan(values))
                  .ok());
  return values;
}

TEST(RandomCheckpointTest, ASliceIsThatOfTheWhole) {
  const auto checkpoint = Make("block_main_b4_5");
  const std::vector<float> whole = Slice(*checkpoint, {0, 512}, {0, 256});
  const std::vector<float> rows = Slice(*checkpoint, {7, 9}, {0, 256});
  const std::vector<float> columns = Slice(*checkpoint, {7, 9}, {3, 5});
  EXPECT_EQ(rows[0], whole[7 * 256]);
  EXPECT_EQ(rows[256 + 255], whole[8 * 256 + 255]);
  EXPECT_EQ(columns[1], whole[7 * 256 + 4]);
  EXPECT_EQ(columns[2], whole[8 * 256 + 3]);
}

TEST(RandomCheckpointTest, WeightsHaveTheScaleOfUntrainedOnes) {
  const auto checkpoint = Make("block_main_b4_5");
  double sum = 0;
  double squares = 0;
  const std::vector<float> values = Slice(*checkpoint, {0, 512}, {0, 256});
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 3e-4);
  EXPECT_NEAR(std::sqrt(squares / count), 0.02, 3e-4);
}

TEST(RandomCheckpointTest, SeedAndNameChangeTheValues) {
  const auto one = Make("block_main_b4_5", 1);
  const auto same = Make("block_main_b4_5", 1);
  const auto other = Make("block_main_b4_5", 2);
  const Range all{0, 512};
  EXPECT_EQ(Slice(*one, all, {0, 256}), Slice(*same, all, {0, 256}));
  EXPECT_NE(Slice(*one, all, {0, 256}), Slice(*other, all, {0, 256}));
  std::vector<float> up(1024 * 256), down(1024 * 256);
  const std::string layer = "block_decoder.gpt_neox.layers.0.mlp.dense_";
  ASSERT_TRUE(
      one->Read(layer + "h_to_4h.weight", {1024, 256}, absl::MakeSpan(up))
          .ok());
  ASSERT_TRUE(
      one->Read(layer + "4h_to_h.weight", {256, 1024}, absl::MakeSpan(down))
          .ok());
  EXPECT_NE(up, down);
}

TEST(RandomCheckpointTest, ModelsReadAllThereIsAndNothingElse) {
  for (const char* name :
       {"block_main_b4_5", "block_megabyte_b4_5", "vanilla_31"}) {
    const auto reference = CreateReferenceOps(DType::kFloat32);
    SizingOps ops(*reference);
    const auto checkpoint = Make(name);
    ModelOptions options;
    options.limits.num_pages = 1;
    options.limits.max_units_per_sequence = 16;
    const auto model =
        LoadModel(*PublishedModelConfig(name), *checkpoint, options, ops);
    EXPECT_TRUE(model.ok()) << name << ": " << model.status();
    EXPECT_EQ(checkpoint->bytes_read(), checkpoint->total_bytes()) << name;
  }
}

TEST(RandomCheckpointTest, AnotherShapeIsRefused) {
  const auto checkpoint = Make("vanilla_31");
  std::vector<float> values(256);
  EXPECT_EQ(checkpoint
                ->Read("gpt_neox.final_layer_norm.weight", {16, 16},
                       absl::MakeSpan(values))
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(checkpoint->Read("nothing", {256}, absl::MakeSpan(values)).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace blockserve
