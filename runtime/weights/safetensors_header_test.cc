#include "runtime/weights/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "runtime/weights/safetensors_builder.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<SafetensorsHeader> Parse(const std::string& file) {
  return ParseSafetensorsHeader(file, static_cast<int64_t>(file.size()),
                                "file");
}

TEST(SafetensorsHeaderTest, ReadsTensorsAndMetadata) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},)"
      R"("b":{"dtype":"BF16","shape":[2,1],"data_offsets":[12,16]},)"
      R"("a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
      R"("none":{"dtype":"I64","shape":[0,7],"data_offsets":[12,12]},)"
      R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[16,17]}}   )";
  const auto parsed = Parse(SafetensorsBytes(header, std::string(17, 'x')));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->metadata.at("format"), "pt");
  ASSERT_EQ(parsed->tensors.size(), 4u);
  const SafetensorsEntry& b = parsed->tensors.at("b");
  EXPECT_EQ(b.type, SafetensorsType::kBF16);
  EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(b.begin, static_cast<int64_t>(8 + header.size() + 12));
  EXPECT_EQ(b.num_bytes, 4);
  EXPECT_EQ(parsed->tensors.at("scalar").num_elements, 1);
}

TEST(SafetensorsHeaderTest, RefusesMalformedFiles) {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets) {
    return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape +
           R"(,"data_offsets":)" + offsets + "}}";
  };
  struct Bad {
    std::string file;
    const char* message;
  };
  const std::string four(4, '\0');
  const std::vector<Bad> table = {
      {"", "truncated"},
      {"1234567", "truncated: expected a length of 8 bytes, got 7"},
      {std::string(8, '\xff'), "expected a header of at most"},
      {std::string("\0\0\0\0\0\0\0\x80", 8), "got 9223372036854775808"},
      {SafetensorsBytes(std::string(100, ' '), "").substr(0, 50), "truncated"},
      {SafetensorsBytes("{", ""), "malformed JSON"},
      {SafetensorsBytes("[]", ""), "expected a JSON object"},
      {SafetensorsBytes("{\"a\":1}", ""), "tensor a: expected an object"},
      {SafetensorsBytes("{\"a\":{}}", ""), "expected dtype, shape"},
      {SafetensorsBytes(one("\"F31\"", "[1]", "[0,4]"), four),
       "tensor w: unknown dtype \"F31\""},
      {SafetensorsBytes(one("7", "[1]", "[0,4]"), four), "string as dtype"},
      {SafetensorsBytes(one("\"F32\"", "[2]", "[0,4]"), four),
       "tensor w: expected 8 bytes for F32 [2], got 4"},
      {SafetensorsBytes(one("\"F32\"", "[-1]", "[0,4]"), four), "no size"},
      {SafetensorsBytes(one("\"F32\"", "[1.0]", "[0,4]"), four), "no size"},
      {SafetensorsBytes(one("\"F32\"", "1", "[0,4]"), four), "as shape"},
      {SafetensorsBytes(one("\"F32\"", "[9223372036854775807,2]", "[0,4]"),
                        four),
       "too large"},
      // 2^62 * 4 * 2^62 wraps to 0 in 64 bits.
      {SafetensorsBytes(
           one("\"F32\"", "[4611686018427387904,4611686018427387904]", "[0,0]"),
           ""),
       "too large"},
      {SafetensorsBytes(one("\"F32\"", "[18446744073709551615]", "[0,4]"),
                        four),
       "no size"},
      {SafetensorsBytes(one("\"F32\"", "[1]", "[4,0]"), four), "outside"},
      {SafetensorsBytes(one("\"F32\"", "[1]", "[0,8]"), four), "outside"},
      {SafetensorsBytes(one("\"F32\"", "[1]", "[0]"), four), "two sizes"},
      {SafetensorsBytes(one("\"F32\"", "[1]", "[-4,0]"), four), "two sizes"},
      {SafetensorsBytes(one("\"F32\"", "[1]", "[4,8]"), four + four), "hole"},
      {SafetensorsBytes(one("\"F32\"", "[1]", "[0,4]"), four + "x"),
       "expected 4 bytes of data, got 5"},
      {SafetensorsBytes("{}", "x"), "expected 0 bytes of data, got 1"},
      {SafetensorsBytes(
           R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
           R"("b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}})",
           "12345"),
       "tensor b overlaps"},
      {SafetensorsBytes(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
           R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
           "1"),
       "key \"a\" is given twice"},
      {SafetensorsBytes(std::string(1000, '['), ""), "nested deeper"},
      {SafetensorsBytes("{\"__metadata__\":3}", ""), "__metadata__"},
  };
  for (const Bad& bad : table) {
    const auto parsed = Parse(bad.file);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kDataLoss)
        << bad.message;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(bad.message));
  }
}

TEST(SafetensorsHeaderTest, SurvivesMutations) {
  const std::string seed =
      SafetensorsBuilder()
          .Add<float>("layers.0.weight", "F32", {2, 2}, {1, 2, 3, 4})
          .Add<uint16_t>("layers.0.bias", "BF16", {3}, {1, 2, 3})
          .Add<int64_t>("ids", "I64", {1, 1}, {5})
          .Build();
  ASSERT_TRUE(Parse(seed).ok());
  std::mt19937 random(11);
  int num_ok = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string file = seed;
    const int num_changes = 1 + static_cast<int>(random() % 3);
    for (int j = 0; j < num_changes && !file.empty(); ++j) {
      const size_t at = random() % file.size();
      switch (random() % 5) {
        case 0:
          file[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          file[at] = static_cast<char>('0' + random() % 10);
          break;
        case 2:
          file.erase(at, 1 + random() % 8);
          break;
        case 3:
          file.insert(at, 1, "[]{}\",:-e."[random() % 10]);
          break;
        default:
          file.resize(at);
      }
    }
    const auto parsed = Parse(file);
    if (parsed.ok()) {
      ++num_ok;
      for (const auto& [name, entry] : parsed->tensors) {
        EXPECT_GE(entry.begin, 8);
        EXPECT_LE(entry.begin + entry.num_bytes,
                  static_cast<int64_t>(file.size()));
      }
    } else {
      EXPECT_EQ(parsed.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(parsed.status().message().find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(num_ok, 0);
}

}  // namespace
}  // namespace blockserve
