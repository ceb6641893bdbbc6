#include "runtime/weights/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "runtime/weights/safetensors_builder.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

constexpr int kNumValues = 16384;  // 64 KiB: more than is sampled

std::vector<float> Values(float first = 0) {
  std::vector<float> values(kNumValues);
  for (int i = 0; i < kNumValues; ++i) values[i] = first + i;
  return values;
}

std::string Weights(const std::vector<float>& values) {
  return SafetensorsBuilder()
      .Add<float>("w", "F32", {kNumValues}, values)
      .Add<float>("bias", "F32", {2}, {1, 2})
      .Build();
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class FingerprintTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = ::testing::TempDir() + "/fingerprint_" + test->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    Write(directory_ + "/config.yaml", "block_length: 4\n");
    Write(directory_ + "/model.safetensors", Weights(Values()));
  }

  std::string Fingerprint() {
    const auto fingerprint = FingerprintOf(directory_);
    EXPECT_TRUE(fingerprint.ok()) << fingerprint.status();
    return fingerprint.value_or("");
  }
  std::string FingerprintWith(const std::vector<float>& values) {
    Write(directory_ + "/model.safetensors", Weights(values));
    return Fingerprint();
  }

  std::string directory_;
};

TEST_F(FingerprintTest, IsTheSameForACopy) {
  const std::string first = Fingerprint();
  EXPECT_EQ(first.size(), 32u);
  const std::string copy = directory_ + "_copy";
  std::filesystem::remove_all(copy);
  std::filesystem::copy(directory_, copy);
  EXPECT_EQ(FingerprintOf(copy).value(), first);
}

TEST_F(FingerprintTest, NoticesAnotherConfiguration) {
  const std::string first = Fingerprint();
  Write(directory_ + "/config.yaml", "block_length: 8\n");
  EXPECT_NE(Fingerprint(), first);
}

TEST_F(FingerprintTest, NoticesAChangeAtBeginMiddleAndEnd) {
  const std::string first = Fingerprint();
  for (const int index : {0, 1000, kNumValues / 2, kNumValues - 1}) {
    std::vector<float> values = Values();
    values[static_cast<size_t>(index)] += 0.5f;
    EXPECT_NE(FingerprintWith(values), first) << index;
  }
  EXPECT_EQ(FingerprintWith(Values()), first);
}

TEST_F(FingerprintTest, NoticesAnotherName) {
  const std::string first = Fingerprint();
  Write(directory_ + "/model.safetensors",
        SafetensorsBuilder()
            .Add<float>("v", "F32", {kNumValues}, Values())
            .Add<float>("bias", "F32", {2}, {1, 2})
            .Build());
  EXPECT_NE(Fingerprint(), first);
}

// What it says of itself: it samples.
TEST_F(FingerprintTest, DoesNotReadBetweenSamples) {
  const std::string first = Fingerprint();
  std::vector<float> values = Values();
  values[kNumValues / 4] += 0.5f;
  EXPECT_EQ(FingerprintWith(values), first);
}

TEST_F(FingerprintTest, ReadsTheShardsOfAnIndex) {
  std::filesystem::remove(directory_ + "/model.safetensors");
  Write(directory_ + "/a.safetensors",
        SafetensorsBuilder().Add<float>("a", "F32", {1}, {1}).Build());
  Write(directory_ + "/b.safetensors",
        SafetensorsBuilder().Add<float>("b", "F32", {1}, {2}).Build());
  Write(directory_ + "/model.safetensors.index.json",
        R"({"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}})");
  const std::string first = Fingerprint();
  Write(directory_ + "/b.safetensors",
        SafetensorsBuilder().Add<float>("b", "F32", {1}, {3}).Build());
  EXPECT_NE(Fingerprint(), first);
}

TEST_F(FingerprintTest, SaysWhatIsMissing) {
  std::filesystem::remove(directory_ + "/model.safetensors");
  EXPECT_EQ(FingerprintOf(directory_).status().code(),
            absl::StatusCode::kNotFound);
  std::filesystem::remove(directory_ + "/config.yaml");
  const absl::Status missing = FingerprintOf(directory_).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("config.yaml"));
}

TEST_F(FingerprintTest, RefusesATruncatedFile) {
  const std::string weights = Weights(Values());
  Write(directory_ + "/model.safetensors",
        weights.substr(0, weights.size() - 1));
  EXPECT_EQ(FingerprintOf(directory_).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace blockserve
