// How tokenizer.json spells bytes: each byte is one printable character (GPT-2,
// encoder.py). Printable Latin-1 bytes stand for themselves, the other 68 are
// U+0100 and up in ascending order; a space is U+0120.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_ALPHABET_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_ALPHABET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace blockserve {

// The character of a byte, in UTF-8.
std::string SpellByte(uint8_t byte);

// The bytes that `token` spells, or nothing if a character of it spells none.
//   token: valid UTF-8
std::optional<std::string> BytesOfToken(std::string_view token);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_ALPHABET_H_
