#include "runtime/tokenizer/byte_alphabet.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

TEST(ByteAlphabetTest, SpellsEveryByteInItsOwnWay) {
  std::set<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = SpellByte(static_cast<uint8_t>(byte));
    spellings.insert(spelling);
    EXPECT_EQ(BytesOfToken(spelling), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(spellings.size(), 256u);
}

TEST(ByteAlphabetTest, HasTheSpellingsOfGpt2) {
  EXPECT_EQ(SpellByte('a'), "a");
  EXPECT_EQ(SpellByte(0), "\u0100");
  EXPECT_EQ(SpellByte('\n'), "\u010A");
  EXPECT_EQ(SpellByte(' '), "\u0120");
  EXPECT_EQ(SpellByte(0x7F), "\u0121");
  EXPECT_EQ(SpellByte(0xAD), "\u0143");
  EXPECT_EQ(SpellByte(0xFF), "\u00FF");
}

TEST(ByteAlphabetTest, OtherCharactersSpellNothing) {
  EXPECT_EQ(BytesOfToken("\u0120the"), " the");
  EXPECT_EQ(BytesOfToken(""), "");
  for (const char* token : {"a b", "\u0144", "\u00AD", "\n", "\u4E2D"}) {
    EXPECT_EQ(BytesOfToken(token), std::nullopt) << token;
  }
}

}  // namespace
}  // namespace blockserve
