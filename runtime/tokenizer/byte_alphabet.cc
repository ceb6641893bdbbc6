#include "runtime/tokenizer/byte_alphabet.h"

#include <array>

#include "runtime/base/utf8.h"

namespace blockserve {
namespace {

constexpr int kNumCharacters = 0x100 + 68;

constexpr bool SpellsItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Alphabet {
  std::array<char32_t, 256> character_of{};
  std::array<int16_t, kNumCharacters> byte_of{};  // -1: spells none
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte_of) byte = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int character = SpellsItself(byte) ? byte : next++;
    alphabet.character_of[byte] = character;
    alphabet.byte_of[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();
static_assert(kAlphabet.character_of[' '] == U'\u0120');
static_assert(kAlphabet.byte_of[kNumCharacters - 1] == 0xAD);

}  // namespace

std::string SpellByte(uint8_t byte) {
  std::string spelling;
  AppendUtf8(kAlphabet.character_of[byte], spelling);
  return spelling;
}

std::optional<std::string> BytesOfToken(std::string_view token) {
  std::string bytes;
  for (size_t position = 0; position < token.size();) {
    const char32_t character = NextUtf8(token, &position);
    if (character >= kNumCharacters) return std::nullopt;
    const int byte = kAlphabet.byte_of[character];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace blockserve
