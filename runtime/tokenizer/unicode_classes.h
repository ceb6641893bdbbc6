// What kind of character a code point is, exactly as PyPI tokenizers sees it:
// the table is measured on that library (make_unicode_classes.py), because its
// parts follow different versions of Unicode and the C libraries at hand follow
// others again.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_UNICODE_CLASSES_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_UNICODE_CLASSES_H_

#include <array>
#include <cstdint>

namespace blockserve {

// Bits; a code point may have several.
enum UnicodeClass : uint8_t {
  kLetter = 1,  // \p{L}
  kNumber = 2,  // \p{N}
  kSpace = 4,   // \s
  kWord = 8,    // \w of the Rust regex crate
  // Changes under NFC, moves among its neighbours, or joins the one before it.
  kNfcActive = 16,
  // Can change when a kNfcActive character follows it.
  kNfcContext = 32,
};

class UnicodeClasses {
 public:
  // Built on first use, never destroyed; thread-safe.
  static const UnicodeClasses& Get();

  uint8_t operator[](char32_t code_point) const {
    return classes_[code_point];  // code_point <= U+10FFFF
  }

 private:
  UnicodeClasses();

  std::array<uint8_t, 0x110000> classes_{};
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_UNICODE_CLASSES_H_
