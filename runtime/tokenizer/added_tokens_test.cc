#include "runtime/tokenizer/added_tokens.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr int32_t kText = -1;

std::vector<std::pair<std::string, int32_t>> Split(
    const std::vector<AddedTokenSpec>& tokens, std::string_view text) {
  AddedTokens added;
  for (const AddedTokenSpec& token : tokens) added.Add(token);
  std::vector<AddedTokens::Piece> pieces;
  added.Split(text, pieces);
  std::vector<std::pair<std::string, int32_t>> result;
  for (const AddedTokens::Piece& piece : pieces) {
    result.emplace_back(piece.text, piece.id);
  }
  return result;
}

AddedTokenSpec Token(int32_t id, std::string content) {
  AddedTokenSpec token;
  token.id = id;
  token.content = std::move(content);
  return token;
}

AddedTokenSpec Stripping(AddedTokenSpec token, bool left, bool right) {
  token.lstrip = left;
  token.rstrip = right;
  return token;
}

TEST(AddedTokensTest, TakesTheLongestAtTheLeftmostPlace) {
  const std::vector<AddedTokenSpec> tokens = {Token(1, "ab"), Token(2, "abcd"),
                                              Token(3, "bc"), Token(4, "  ")};
  EXPECT_THAT(Split(tokens, "xabcx"),
              ElementsAre(Pair("x", kText), Pair("ab", 1), Pair("cx", kText)));
  EXPECT_THAT(Split(tokens, "abcdbc"),
              ElementsAre(Pair("abcd", 2), Pair("bc", 3)));
  EXPECT_THAT(Split(tokens, "   "),
              ElementsAre(Pair("  ", 4), Pair(" ", kText)));
  EXPECT_THAT(Split(tokens, ""), ElementsAre());
  EXPECT_THAT(Split({}, "ab"), ElementsAre(Pair("ab", kText)));
}

TEST(AddedTokensTest, StripsWhiteSpaceOfEveryKind) {
  const std::vector<AddedTokenSpec> tokens = {
      Stripping(Token(1, "<l>"), true, false),
      Stripping(Token(2, "<r>"), false, true)};
  EXPECT_THAT(
      Split(tokens, "a \u3000<l> b"),
      ElementsAre(Pair("a", kText), Pair(" \u3000<l>", 1), Pair(" b", kText)));
  EXPECT_THAT(
      Split(tokens, "a <r>\n\u2028b"),
      ElementsAre(Pair("a ", kText), Pair("<r>\n\u2028", 2), Pair("b", kText)));
  EXPECT_THAT(Split(tokens, "<r>  <l>"),
              ElementsAre(Pair("<r>  ", 2), Pair("<l>", 1)));
}

TEST(AddedTokensTest, FindsTokensInStrippedSpaceOnceMore) {
  const AddedTokenSpec right = Stripping(Token(1, "<r>"), false, true);
  EXPECT_THAT(Split({right, Token(2, "  ")}, "<r>   x"),
              ElementsAre(Pair("<r>   ", 1), Pair("  ", 2), Pair(" x", kText)));
  const AddedTokenSpec both = Stripping(Token(2, "  "), true, true);
  EXPECT_THAT(Split({right, both}, "<r>   x"),
              ElementsAre(Pair("<r>   ", 1), Pair("x", kText)));
  const AddedTokenSpec left = Stripping(Token(2, "  "), true, false);
  EXPECT_THAT(Split({right, left}, "<r>   x"),
              ElementsAre(Pair("<r>   ", 1), Pair("x", kText)));
}

TEST(AddedTokensTest, SingleWordsStandAlone) {
  AddedTokenSpec token = Token(1, "cat");
  token.single_word = true;
  EXPECT_THAT(Split({token}, "cat, cat"),
              ElementsAre(Pair("cat", 1), Pair(", ", kText), Pair("cat", 1)));
  for (std::string_view text :
       {"cats", "scat", "cat_", "cat1", "\u00E9cat", "cat\u0301"}) {
    EXPECT_THAT(Split({token}, text), ElementsAre(Pair(text, kText)));
  }
}

}  // namespace
}  // namespace blockserve
