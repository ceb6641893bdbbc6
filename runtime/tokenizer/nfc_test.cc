#include "runtime/tokenizer/nfc.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/utf8.h"
#include "runtime/tokenizer/unicode_classes.h"

namespace blockserve {
namespace {

std::string Nfc(std::string_view text) {
  std::string buffer;
  return std::string(NormalizeNfc(text, buffer));
}

std::string NfcByUtf8proc(const std::string& text) {
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> normalized(
      utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str())),
      &std::free);
  return reinterpret_cast<const char*>(normalized.get());
}

TEST(NfcTest, LeavesWhatIsNormalAlone) {
  for (std::string_view text :
       {"", "plain", "caf\u00E9 \u4E2D\u6587 \uAC00 \U0001F600",
        "x\u0301 q\u0323\u0301"}) {
    EXPECT_EQ(Nfc(text), text);
  }
  // Without a character that takes part in it, not even a copy is made.
  const std::string_view text = "caf\u00E9 \u4E2D\u6587";
  std::string buffer;
  EXPECT_EQ(NormalizeNfc(text, buffer).data(), text.data());
}

TEST(NfcTest, ComposesOrdersAndDecomposes) {
  EXPECT_EQ(Nfc("cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(Nfc("a\u0301\u0323b"), "\u1EA1\u0301b");
  EXPECT_EQ(Nfc("\u00E9\u0323"), "\u1EB9\u0301");  // takes the accent off first
  EXPECT_EQ(Nfc("\u1100\u1161\u11A8"), "\uAC01");
  EXPECT_EQ(Nfc("\uAC00\u11A8"), "\uAC01");
  EXPECT_EQ(Nfc("\u212B \u2126 \uF900"), "\u00C5 \u03A9 \u8C48");
  EXPECT_EQ(Nfc("\u0958"), "\u0915\u093C");  // excluded from composition
  EXPECT_EQ(Nfc("\u0301a"), "\u0301a");      // nothing to stand on
  EXPECT_EQ(Nfc(std::string_view("e\0\u0301", 4)),
            std::string_view("e\0\u0301", 4));
}

// Marks of Unicode 10 and later have no class in the reference, so they do not
// move, and what stands behind them finds nothing to join.
TEST(NfcTest, MarksAfterUnicode9AreOrdinaryCharacters) {
  for (const char* mark : {"\u1DF6", "\u0898", "\U00010F46", "\U0001E4EC"}) {
    const std::string text = std::string("a\u0345") + mark + "\u0301";
    EXPECT_EQ(Nfc(text), text);
    EXPECT_NE(NfcByUtf8proc(text), text) << "utf8proc knows it";
  }
  // A pair that Unicode 13 composes to U+11938.
  EXPECT_EQ(Nfc("\U00011935\U00011930"), "\U00011935\U00011930");
}

TEST(NfcTest, NoCharacterBelowTheFirstMarkIsActive) {
  for (char32_t c = 0; c < 0x300; ++c) {
    EXPECT_EQ(UnicodeClasses::Get()[c] & kNfcActive, 0)
        << static_cast<uint32_t>(c);
  }
}

TEST(NfcTest, AgreesWithUtf8procOnOlderCharacters) {
  const UnicodeClasses& classes = UnicodeClasses::Get();
  std::vector<char32_t> pool;
  for (char32_t c = 1; c < 0x110000; ++c) {
    if ((classes[c] & (kNfcActive | kNfcContext)) != 0) pool.push_back(c);
  }
  ASSERT_GT(pool.size(), 10000u);
  for (char32_t c : {U' ', U'x', U'\u4E2D', U'\U0001F600'}) {
    pool.insert(pool.end(), 500, c);
  }
  for (char32_t c = 0x300; c < 0x370; ++c) pool.insert(pool.end(), 30, c);
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const int length = 1 + random() % 10;
    for (int i = 0; i < length; ++i) {
      AppendUtf8(pool[random() % pool.size()], text);
    }
    ASSERT_EQ(Nfc(text), NfcByUtf8proc(text));
  }
}

}  // namespace
}  // namespace blockserve
