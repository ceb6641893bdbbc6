#include "runtime/weights/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>

#include "runtime/weights/safetensors_builder.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An empty directory of this test.
std::string FreshDirectory() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string directory = ::testing::TempDir() + "/" + test->name();
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  return directory;
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::unique_ptr<Checkpoint> MustOpen(const std::string& directory) {
  auto checkpoint = Checkpoint::Open(directory);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return checkpoint.ok() ? *std::move(checkpoint) : nullptr;
}

TEST(CheckpointTest, ConvertsEveryType) {
  const std::string directory = FreshDirectory();
  Write(directory + "/model.safetensors",
        SafetensorsBuilder()
            .Add<float>("f32", "F32", {2}, {1.5f, -2.0f})
            .Add<uint16_t>("bf16", "BF16", {2}, {0x3fc0, 0xc000})
            .Add<uint16_t>("f16", "F16", {3}, {0x3e00, 0xc000, 0x0001})
            .Build());
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  std::vector<float> values(2);
  for (const char* name : {"f32", "bf16"}) {
    ASSERT_TRUE(checkpoint->Read(name, {2}, absl::MakeSpan(values)).ok());
    EXPECT_THAT(values, ElementsAre(1.5f, -2.0f)) << name;
  }
  values.resize(3);
  ASSERT_TRUE(checkpoint->Read("f16", {3}, absl::MakeSpan(values)).ok());
  EXPECT_THAT(values, ElementsAre(1.5f, -2.0f, 0x1p-24f));
  EXPECT_EQ(checkpoint->Info("f16")->dtype, DType::kFloat16);
  EXPECT_EQ(checkpoint->total_bytes(), 18);
  EXPECT_EQ(checkpoint->bytes_read(), 18);
  EXPECT_TRUE(checkpoint->CheckAllRead().ok());
}

TEST(CheckpointTest, ReadsSlices) {
  const std::string directory = FreshDirectory();
  Write(directory + "/model.safetensors",
        SafetensorsBuilder()
            .Add<float>("w", "F32", {3, 2}, {1, 2, 3, 4, 5, 6})
            .Add<float>("conv", "F32", {2, 2, 1}, {7, 8, 9, 10})
            .Build());
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  std::vector<float> rows(4);
  ASSERT_TRUE(
      checkpoint->ReadSlice("w", 3, 2, {1, 3}, {0, 2}, absl::MakeSpan(rows))
          .ok());
  EXPECT_THAT(rows, ElementsAre(3, 4, 5, 6));
  std::vector<float> column(3);
  ASSERT_TRUE(
      checkpoint->ReadSlice("w", 3, 2, {0, 3}, {1, 2}, absl::MakeSpan(column))
          .ok());
  EXPECT_THAT(column, ElementsAre(2, 4, 6));
  std::vector<float> one(1);
  ASSERT_TRUE(
      checkpoint->ReadSlice("conv", 2, 2, {1, 2}, {0, 1}, absl::MakeSpan(one))
          .ok());
  EXPECT_THAT(one, ElementsAre(9));
  EXPECT_EQ(
      checkpoint->ReadSlice("w", 2, 3, {0, 1}, {0, 1}, absl::MakeSpan(one))
          .code(),
      absl::StatusCode::kDataLoss);
  EXPECT_EQ(
      checkpoint->ReadSlice("w", 3, 2, {2, 4}, {0, 2}, absl::MakeSpan(rows))
          .code(),
      absl::StatusCode::kInternal);
}

TEST(CheckpointTest, ErrorsNameTensorAndExpectation) {
  const std::string directory = FreshDirectory();
  Write(directory + "/model.safetensors",
        SafetensorsBuilder()
            .Add<float>("w", "F32", {2}, {1, 2})
            .Add<int64_t>("ids", "I64", {1}, {1})
            .Build());
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  std::vector<float> values(2);
  const absl::Status missing =
      checkpoint->Read("v", {2}, absl::MakeSpan(values));
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr(directory + ": tensor v is missing"));
  const absl::Status shape =
      checkpoint->Read("w", {1, 2}, absl::MakeSpan(values));
  EXPECT_EQ(shape.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(shape.message()),
              HasSubstr("tensor w: expected shape [1, 2], got [2]"));
  EXPECT_EQ(
      checkpoint->Read("ids", {1}, absl::MakeSpan(values).first(1)).code(),
      absl::StatusCode::kDataLoss);
  EXPECT_FALSE(checkpoint->Has("v"));
  EXPECT_FALSE(checkpoint->Info("v").ok());
}

TEST(CheckpointTest, RefusesValuesThatAreNotFinite) {
  const float kInf = std::numeric_limits<float>::infinity();
  for (const float bad : {NAN, kInf, -kInf}) {
    const std::string directory = FreshDirectory();
    Write(directory + "/model.safetensors",
          SafetensorsBuilder()
              .Add<float>("w", "F32", {4}, {1, 2, bad, 4})
              .Build());
    const auto checkpoint = MustOpen(directory);
    ASSERT_NE(checkpoint, nullptr);
    std::vector<float> values(4);
    const absl::Status status =
        checkpoint->Read("w", {4}, absl::MakeSpan(values));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("tensor w"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("at element 2"));
  }
}

TEST(CheckpointTest, NamesTensorsThatNobodyRead) {
  const std::string directory = FreshDirectory();
  Write(
      directory + "/model.safetensors",
      SafetensorsBuilder()
          .Add<float>("layers.0.attention.bias", "F32", {1}, {1})
          .Add<float>("layers.0.attention.rotary_emb.inv_freq", "F32", {1}, {1})
          .Add<float>("embeddings.position_ids", "F32", {1}, {1})
          .Add<float>("embed_in.weight", "F32", {1}, {1})
          .Add<float>("layers.0.attention.dense.bias", "F32", {1}, {1})
          .Build());
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  checkpoint->MarkUnused("embed_in.weight");
  const absl::Status status = checkpoint->CheckAllRead();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("1 tensors are not part of the model: "
                        "layers.0.attention.dense.bias"));
}

TEST(CheckpointTest, TruncationWhileOpenEndsTheRead) {
  const std::string directory = FreshDirectory();
  const std::string path = directory + "/model.safetensors";
  const size_t count = 1 << 20;
  Write(path,
        SafetensorsBuilder()
            .Add<float>("w", "F32", {1 << 20}, std::vector<float>(count, 1.0f))
            .Build());
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  std::filesystem::resize_file(path, 100000);
  std::vector<float> values(count);
  EXPECT_EQ(checkpoint->Read("w", {1 << 20}, absl::MakeSpan(values)).code(),
            absl::StatusCode::kDataLoss);
}

TEST(CheckpointTest, ReportsProgress) {
  const std::string directory = FreshDirectory();
  Write(directory + "/model.safetensors",
        SafetensorsBuilder()
            .Add<float>("a", "F32", {2}, {1, 2})
            .Add<float>("b", "F32", {2}, {1, 2})
            .Build());
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  std::vector<int64_t> seen;
  checkpoint->SetProgress([&](int64_t done, int64_t all) {
    EXPECT_EQ(all, 16);
    seen.push_back(done);
  });
  std::vector<float> values(2);
  ASSERT_TRUE(checkpoint->Read("a", {2}, absl::MakeSpan(values)).ok());
  ASSERT_TRUE(checkpoint->Read("b", {2}, absl::MakeSpan(values)).ok());
  EXPECT_THAT(seen, ElementsAre(8, 16));
}

// --- shards -----------------------------------------------------------------

constexpr char kIndex[] = R"({"metadata":{"total_size":12},"weight_map":{
    "a":"model-1.safetensors","b":"model-2.safetensors",
    "c":"model-2.safetensors"}})";

void WriteShards(const std::string& directory) {
  Write(directory + "/model-1.safetensors",
        SafetensorsBuilder().Add<float>("a", "F32", {1}, {1}).Build());
  Write(directory + "/model-2.safetensors",
        SafetensorsBuilder()
            .Add<float>("b", "F32", {1}, {2})
            .Add<float>("c", "F32", {1}, {3})
            .Build());
}

TEST(CheckpointTest, ReadsShards) {
  const std::string directory = FreshDirectory();
  WriteShards(directory);
  Write(directory + "/model.safetensors.index.json", kIndex);
  const auto checkpoint = MustOpen(directory);
  ASSERT_NE(checkpoint, nullptr);
  EXPECT_THAT(checkpoint->Names(), ElementsAre("a", "b", "c"));
  std::vector<float> value(1);
  ASSERT_TRUE(checkpoint->Read("c", {1}, absl::MakeSpan(value)).ok());
  EXPECT_EQ(value[0], 3);
}

TEST(CheckpointTest, RefusesBadIndexes) {
  const std::vector<std::pair<std::string, std::string>> edits = {
      {"\"model-1.safetensors\"", "\"../model-1.safetensors\""},
      {"\"model-1.safetensors\"", "\"/etc/passwd\""},
      {"\"model-1.safetensors\"", "\"..\""},
      {"\"model-1.safetensors\"", "\"\""},
      {"\"model-1.safetensors\"", "\"sub/model-1.safetensors\""},
      {"\"model-1.safetensors\"", "\"model-1.safetensors\\u0000x\""},
      {"\"model-1.safetensors\"", "1"},
      {"\"model-1.safetensors\"", "\"model-2.safetensors\""},
      {"\"b\":\"model-2.safetensors\",", ""},
      {"\"c\"", "\"b\""},
      {"\"c\"", "\"d\""},
      {"weight_map", "weights"},
      {"{\"metadata\"", "[\"metadata\""}};
  for (const auto& [from, to] : edits) {
    const std::string directory = FreshDirectory();
    WriteShards(directory);
    std::string index = kIndex;
    index.replace(index.find(from), from.size(), to);
    Write(directory + "/model.safetensors.index.json", index);
    EXPECT_EQ(Checkpoint::Open(directory).status().code(),
              absl::StatusCode::kDataLoss)
        << from << " -> " << to;
  }
}

TEST(CheckpointTest, MissingFilesAreNotFound) {
  const std::string directory = FreshDirectory();
  EXPECT_EQ(Checkpoint::Open(directory).status().code(),
            absl::StatusCode::kNotFound);
  Write(directory + "/model.safetensors.index.json", kIndex);
  EXPECT_EQ(Checkpoint::Open(directory).status().code(),
            absl::StatusCode::kNotFound);
  std::filesystem::create_directory(directory + "/model.safetensors");
  EXPECT_EQ(Checkpoint::Open(directory).status().code(),
            absl::StatusCode::kDataLoss);
}

// --- whole files ------------------------------------------------------------

TEST(CheckpointTest, ReadsEveryCommittedCheckpoint) {
  int num_checkpoints = 0;
  for (const char* root : {"tests/testdata/golden", "models"}) {
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
      if (!entry.is_directory()) continue;
      const auto checkpoint = MustOpen(entry.path().string());
      ASSERT_NE(checkpoint, nullptr) << entry.path();
      for (const std::string& name : checkpoint->Names()) {
        const std::vector<int64_t> shape = checkpoint->Info(name)->shape;
        size_t count = 1;
        for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
        std::vector<float> values(count);
        EXPECT_TRUE(checkpoint->Read(name, shape, absl::MakeSpan(values)).ok());
      }
      EXPECT_EQ(checkpoint->bytes_read(), checkpoint->total_bytes());
      EXPECT_TRUE(checkpoint->CheckAllRead().ok());
      ++num_checkpoints;
    }
  }
  EXPECT_GE(num_checkpoints, 13);
}

// Opening and reading whatever opens never crashes.
TEST(CheckpointTest, SurvivesMutations) {
  const std::string seed = SafetensorsBuilder()
                               .Add<float>("w", "F32", {2, 2}, {1, 2, 3, 4})
                               .Add<uint16_t>("b", "BF16", {3}, {1, 2, 3})
                               .Build();
  const std::string directory = FreshDirectory();
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    std::string file = seed;
    for (uint32_t j = 0; j <= random() % 3; ++j) {
      const size_t at = random() % file.size();
      if (random() % 4 == 0) {
        file.resize(std::max<size_t>(at, 1));
      } else {
        file[at] = static_cast<char>(random() % 2 == 0 ? random() % 256
                                                       : '0' + random() % 10);
      }
    }
    Write(directory + "/model.safetensors", file);
    auto checkpoint = Checkpoint::Open(directory);
    if (!checkpoint.ok()) continue;
    for (const std::string& name : (*checkpoint)->Names()) {
      const auto info = (*checkpoint)->Info(name);
      if (!info.ok()) continue;
      size_t count = 1;
      for (const int64_t n : info->shape) count *= static_cast<size_t>(n);
      std::vector<float> values(count);
      const absl::Status status =
          (*checkpoint)->Read(name, info->shape, absl::MakeSpan(values));
      EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
    }
  }
}

}  // namespace
}  // namespace blockserve
