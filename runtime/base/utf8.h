// UTF-8: validation, decoding, and the replacement of what is not valid.
//
// "Invalid" is what the Unicode Standard calls ill-formed (table 3-7): no
// surrogates, no overlong forms, nothing above U+10FFFF. Each maximal subpart
// of an ill-formed sequence becomes one U+FFFD, as in Rust's from_utf8_lossy
// and in browsers.
#ifndef BLOCKSERVE_RUNTIME_BASE_UTF8_H_
#define BLOCKSERVE_RUNTIME_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace blockserve {

enum class Utf8Kind {
  kValid,       // a whole character
  kInvalid,     // bytes that no continuation can make valid
  kUnfinished,  // the text ends inside a character that may become valid
};

// What a text begins with.
struct Utf8Unit {
  Utf8Kind kind;
  int length;  // bytes, >= 1: of the character, or of one maximal subpart
};

// `text` must not be empty.
Utf8Unit ReadUtf8Unit(std::string_view text);

// Length of the longest prefix that is valid UTF-8; text.size() if all is.
size_t ValidUtf8PrefixLength(std::string_view text);

inline bool IsValidUtf8(std::string_view text) {
  return ValidUtf8PrefixLength(text) == text.size();
}

// Bytes at the end of `text` that are the beginning of a character: 0 to 3.
size_t UnfinishedUtf8SuffixLength(std::string_view text);

// Appends `text` with U+FFFD in the place of what is invalid or unfinished.
void AppendUtf8Lossy(std::string_view text, std::string& out);

void AppendUtf8(char32_t code_point, std::string& out);

// The character that starts at `*position`, which moves behind it. `text` must
// be valid UTF-8 and `*position` inside it, at the start of a character.
inline char32_t NextUtf8(std::string_view text, size_t* position) {
  const auto byte = [&](size_t i) -> uint32_t {
    return static_cast<uint8_t>(text[*position + i]);
  };
  const uint32_t lead = byte(0);
  uint32_t code_point = lead;
  size_t length = 1;
  if (lead >= 0xF0) {
    code_point = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 |
                 (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    length = 4;
  } else if (lead >= 0xE0) {
    code_point = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    length = 3;
  } else if (lead >= 0xC0) {
    code_point = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    length = 2;
  }
  *position += length;
  return code_point;
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BASE_UTF8_H_
