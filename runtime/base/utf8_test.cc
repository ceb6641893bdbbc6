#include "runtime/base/utf8.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

std::string Lossy(std::string_view text) {
  std::string out;
  AppendUtf8Lossy(text, out);
  return out;
}

TEST(Utf8Test, RoundTripsEveryCodePoint) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    AppendUtf8(c, text);
    ASSERT_TRUE(IsValidUtf8(text)) << static_cast<uint32_t>(c);
    size_t position = 0;
    ASSERT_EQ(NextUtf8(text, &position), c);
    ASSERT_EQ(position, text.size());
  }
}

TEST(Utf8Test, EveryTrueBeginningOfACharacterIsUnfinished) {
  for (char32_t c : {U'\u0080', U'\u07FF', U'\u0800', U'\uD7FF', U'\uFFFD',
                     U'\U00010000', U'\U000FFFFF', U'\U0010FFFF'}) {
    std::string text;
    AppendUtf8(c, text);
    for (size_t length = 1; length < text.size(); ++length) {
      const std::string begun = "a" + text.substr(0, length);
      EXPECT_EQ(UnfinishedUtf8SuffixLength(begun), length);
      EXPECT_EQ(ValidUtf8PrefixLength(begun), 1u);
      EXPECT_EQ(Lossy(begun), "a\uFFFD");
    }
    EXPECT_EQ(UnfinishedUtf8SuffixLength("a" + text), 0u);
  }
}

TEST(Utf8Test, RefusesWhatIsIllFormed) {
  for (std::string_view text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5", "\xFF",
        "\xE2\x28\xA1", "\xC3("}) {
    EXPECT_FALSE(IsValidUtf8(text));
    EXPECT_EQ(ValidUtf8PrefixLength("0123456789" + std::string(text)), 10u);
    EXPECT_EQ(ReadUtf8Unit(text).kind, Utf8Kind::kInvalid);
  }
}

// The example of the Unicode Standard, table 3-8, and its neighbours.
TEST(Utf8Test, ReplacesEachMaximalSubpartOnce) {
  EXPECT_EQ(Lossy("a\xF1\x80\x80\xE1\x80\xC2"
                  "b\x80"
                  "c\x80\xBF"
                  "d"),
            "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  EXPECT_EQ(Lossy("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(Lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(Lossy("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(Lossy("\xF0\x9F\x98\xF0\x9F\x98\x80"), "\uFFFD\U0001F600");
}

TEST(Utf8Test, AStrayContinuationIsNotUnfinished) {
  EXPECT_EQ(UnfinishedUtf8SuffixLength("\x80"), 0u);
  EXPECT_EQ(UnfinishedUtf8SuffixLength("a\x80\x80\x80\x80"), 0u);
  EXPECT_EQ(UnfinishedUtf8SuffixLength("\xE0\x80"), 0u);  // overlong
  EXPECT_EQ(UnfinishedUtf8SuffixLength(""), 0u);
}

}  // namespace
}  // namespace blockserve
