#include "runtime/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using testing::HasSubstr;

constexpr char kDemo[] = "models/demo-block/tokenizer.json";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string WriteTemporary(const std::string& content) {
  const std::string path = testing::TempDir() + "/tokenizer.json";
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::unique_ptr<Tokenizer> Load(const std::string& path) {
  auto tokenizer = LoadTokenizer(path);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

const Tokenizer& Demo() {
  static const Tokenizer& tokenizer = *Load(kDemo).release();
  return tokenizer;
}

struct Pin {
  std::string text;
  std::vector<int32_t> ids;
};

void ExpectPins(const Tokenizer& tokenizer, const std::vector<Pin>& pins) {
  for (const Pin& pin : pins) {
    const auto ids = tokenizer.Encode(pin.text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, pin.ids) << pin.text;
  }
}

// The ids of PyPI tokenizers 0.23.3, as in all pins below.
TEST(TokenizerTest, EncodesAsPinned) {
  ExpectPins(
      Demo(),
      {{"It was a truth universally acknowledged",
        {1366, 328, 260, 1687, 349, 3995, 693, 3486, 1009}},
       {"I'll say: he'd've gone!",
        {42, 3371, 495, 27, 287, 8, 69, 8, 311, 1243, 2}},
       {"  two  spaces\n\n\tand a tab ",
        {222, 681, 222, 489, 1534, 200, 200, 199, 404, 260, 1561, 222}},
       {"caf\u00E9 cafe\u0301", {68, 66, 71, 129, 104, 2434, 71, 129, 104}},
       {"<|endoftext|>a<|padding|>", {0, 66, 1}},
       {"a<|endoftext|>\u0301", {66, 0, 138, 225}},
       {"\u4E2D\u6587 \U0001F468\u200D\U0001F469",
        {162, 118, 257, 164, 246, 231, 222, 174, 255, 241, 103, 160, 224, 237,
         174, 255, 241, 104}},
       {"1234 \u0663\u0664 \u2167x",
        {18, 19, 20, 21, 222, 151, 98, 151, 99, 222, 160, 229, 102, 89}},
       {"", {}},
       {std::string(1, '\0'), {190}}});
}

TEST(TokenizerTest, EncodesAsPinnedWithTheTokenizerOfGptNeoX) {
  const char* shared = std::getenv("BLOCKSERVE_SHARED_DIR");
  const std::string path = std::string(shared == nullptr ? "" : shared) +
                           "/tokenizer/gpt_neox_20b.tokenizer.json";
  if (!std::filesystem::exists(path)) return;  // only with the shared folder
  const auto tokenizer = Load(path);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->vocab_size(), 50281);
  ExpectPins(*tokenizer,
             {{"It was a truth universally acknowledged",
               {1147, 369, 247, 5083, 35114, 14969}},
              {"I'll say: he'd've gone!",
               {42, 1833, 1333, 27, 344, 1871, 1849, 4783, 2}},
              {"  two  spaces\n\n\tand a tab ",
               {50276, 9389, 50276, 31748, 535, 186, 395, 247, 10334, 209}},
              {"caf\u00E9 cafe\u0301", {68, 2320, 860, 36241}},
              {"a<|endoftext|>\u0301", {66, 0, 136, 212}},
              {"1234 \u0663\u0664 \u2167x",
               {28941, 209, 149, 98, 149, 99, 3384, 216, 102, 89}}});
}

TEST(TokenizerTest, DecodesWhatItEncoded) {
  const std::string texts[] = {
      "It was a truth, universally acknowledged;\n\n'tis 1813.",
      "\u4E2D\u6587 \U0001F468\u200D\U0001F469 caf\u00E9 \x01\x7F",
      std::string("a\0b", 3)};
  for (const std::string& text : texts) {
    const auto ids = Demo().Encode(text);
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(*Demo().Decode(*ids, /*skip_special=*/true), text);
  }
}

TEST(TokenizerTest, DecodesInvalidUtf8ToReplacementCharacters) {
  // 160 226 is the beginning of a euro sign, 104 and 225 are stray ends.
  EXPECT_EQ(*Demo().Decode({66, 160, 226}, true), "a\uFFFD");
  EXPECT_EQ(*Demo().Decode({160, 226, 66}, true), "\uFFFDa");
  EXPECT_EQ(*Demo().Decode({104, 225, 66}, true), "\uFFFD\uFFFDa");
  EXPECT_EQ(*Demo().Decode({129, 104}, true), "\u00E9");
}

TEST(TokenizerTest, SkipsSpecialTokensOnRequest) {
  EXPECT_EQ(*Demo().Decode({0, 66, 1}, true), "a");
  EXPECT_EQ(*Demo().Decode({0, 66, 1}, false), "<|endoftext|>a<|padding|>");
  EXPECT_EQ(Demo().TokenBytes(0, true), "");
  EXPECT_EQ(Demo().TokenBytes(0, false), "<|endoftext|>");
  EXPECT_EQ(Demo().TokenBytes(261, true), " the");
}

TEST(TokenizerTest, KnowsItsTokens) {
  EXPECT_EQ(Demo().vocab_size(), 4096);
  EXPECT_EQ(Demo().TokenToId("<|endoftext|>"), 0);
  EXPECT_EQ(Demo().TokenToId("\u0120the"), 261);
  EXPECT_EQ(Demo().TokenToId("no such token"), std::nullopt);
}

TEST(TokenizerTest, RefusesIdsOutOfRange) {
  for (int32_t id : {-1, 4096, 1 << 30}) {
    const auto text = Demo().Decode({66, id}, true);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(text.status().message()),
                HasSubstr(std::to_string(id)));
    EXPECT_EQ(Demo().TokenBytes(id, true), "");
  }
}

TEST(TokenizerTest, RefusesInvalidUtf8) {
  for (const char* text : {"abc\xFF", "abc\xC3", "abc\xED\xA0\x80"}) {
    const auto ids = Demo().Encode(text);
    EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(ids.status().message()), HasSubstr("byte 3"));
  }
}

TEST(TokenizerTest, MissingFileIsNotFound) {
  const auto tokenizer = LoadTokenizer("no/such/tokenizer.json");
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(tokenizer.status().message()),
              HasSubstr("no/such/tokenizer.json"));
}

// One random change: a bit, a cut, a hole, or a piece that stands twice.
std::string Damage(std::string content, std::mt19937& random) {
  // Half of it in the last 1500 bytes or the first, where the keys are.
  size_t position = random() % content.size();
  if (random() % 2 == 0) position = random() % 1500;
  const size_t length = random() % 40;
  switch (random() % 4) {
    case 0:
      content[position] ^= static_cast<char>(1 << random() % 8);
      break;
    case 1:
      content.resize(position);
      break;
    case 2:
      content.erase(position, length);
      break;
    default:
      content.insert(position, content.substr(position, length));
      break;
  }
  return content;
}

TEST(TokenizerTest, SurvivesDamagedFiles) {
  const std::string content = ReadAll(kDemo);
  ASSERT_GT(content.size(), 3000u);
  std::mt19937 random(1);
  int num_refused = 0;
  constexpr int kNumFiles = 300;
  for (int i = 0; i < kNumFiles; ++i) {
    const std::string path = WriteTemporary(Damage(content, random));
    const auto tokenizer = LoadTokenizer(path);
    if (!tokenizer.ok()) {
      ++num_refused;
      EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr(path));
      continue;
    }
    // What still loads must work, whatever it makes of the text.
    const auto ids =
        (*tokenizer)->Encode("It is 1813, he'd say cafe\u0301 <|endoftext|>");
    ASSERT_TRUE(ids.ok());
    EXPECT_TRUE((*tokenizer)->Decode(*ids, true).ok());
  }
  EXPECT_GT(num_refused, kNumFiles / 2);
  EXPECT_LT(num_refused, kNumFiles);
}

}  // namespace
}  // namespace blockserve
