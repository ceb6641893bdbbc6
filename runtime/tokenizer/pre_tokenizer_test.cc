#include "runtime/tokenizer/pre_tokenizer.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using testing::ElementsAre;

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = FindWordEnd(text, begin, UnicodeClasses::Get());
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

TEST(PreTokenizerTest, SplitsWordsNumbersAndTheRest) {
  EXPECT_THAT(Words("Hello world, it is 1813!?"),
              ElementsAre("Hello", " world", ",", " it", " is", " 1813", "!?"));
  EXPECT_THAT(Words("abc123def"), ElementsAre("abc", "123", "def"));
  EXPECT_THAT(Words("na\u00EFve \u4E2D\u6587\u0663\u2167x"),
              ElementsAre("na\u00EFve", " \u4E2D\u6587", "\u0663\u2167", "x"));
}

TEST(PreTokenizerTest, MarksAndUnassignedAreTheRest) {
  EXPECT_THAT(Words("e\u0301e"), ElementsAre("e", "\u0301", "e"));
  EXPECT_THAT(Words("a\U000E0100\u0378.b"),
              ElementsAre("a", "\U000E0100\u0378.", "b"));
}

TEST(PreTokenizerTest, CutsContractionsOff) {
  EXPECT_THAT(Words("he'd've gone'llx"),
              ElementsAre("he", "'d", "'ve", " gone", "'ll", "x"));
  EXPECT_THAT(Words("I'M it'x '"),
              ElementsAre("I", "'", "M", " it", "'", "x", " '"));
  EXPECT_THAT(Words(" 's"), ElementsAre(" '", "s"));
  EXPECT_THAT(Words("''s"), ElementsAre("''", "s"));
  EXPECT_THAT(Words("a're'r'l'"),
              ElementsAre("a", "'re", "'", "r", "'", "l", "'"));
}

TEST(PreTokenizerTest, OneSpaceGoesWithTheWordBehindIt) {
  EXPECT_THAT(Words("  a"), ElementsAre(" ", " a"));
  EXPECT_THAT(Words("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(Words("a \t b"), ElementsAre("a", " \t", " b"));
  EXPECT_THAT(Words("a\tb"), ElementsAre("a", "\t", "b"));
  EXPECT_THAT(Words("a \tb"), ElementsAre("a", " ", "\t", "b"));
  EXPECT_THAT(Words("a\u3000b"), ElementsAre("a", "\u3000", "b"));
  EXPECT_THAT(Words("a\u3000\u2028b"),
              ElementsAre("a", "\u3000", "\u2028", "b"));
}

TEST(PreTokenizerTest, SpaceAtTheEndIsOneWord) {
  EXPECT_THAT(Words("a  \n"), ElementsAre("a", "  \n"));
  EXPECT_THAT(Words(" "), ElementsAre(" "));
  EXPECT_THAT(Words("\u0085\u00A0"), ElementsAre("\u0085\u00A0"));
}

TEST(PreTokenizerTest, NotAllThatIsBlankIsSpace) {
  // U+180E, U+200B and U+FEFF are formats, U+001C is a control.
  EXPECT_THAT(Words(" \u180E\u200B\uFEFF\x1C "),
              ElementsAre(" \u180E\u200B\uFEFF\x1C", " "));
}

}  // namespace
}  // namespace blockserve
