// Text to token ids and back.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace blockserve {

// Immutable and thread-safe after creation.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The ids of `text`. INVALID_ARGUMENT if it is not valid UTF-8. Adds no
  // special tokens; those spelled out in `text` are recognised.
  virtual absl::StatusOr<std::vector<int32_t>> Encode(
      std::string_view text) const = 0;

  // Bytes of one token as they stand in the text (not always whole
  // characters). Empty for a special token if `skip_special` and for ids that
  // have no token.
  virtual std::string_view TokenBytes(int32_t id, bool skip_special) const = 0;

  // The text of `ids`, equal to PyPI tokenizers' decode: invalid UTF-8 becomes
  // U+FFFD. INVALID_ARGUMENT for a negative id or one >= vocab_size().
  virtual absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                             bool skip_special) const = 0;

  // One more than the largest id that has a token.
  virtual int vocab_size() const = 0;
  virtual std::optional<int32_t> TokenToId(std::string_view token) const = 0;
};

// Loads a Hugging Face tokenizer.json that describes a byte-level BPE with NFC
// or no normaliser and GPT-2 pre-tokenisation. NOT_FOUND, or INVALID_ARGUMENT
// naming the file and the key that is malformed or not supported.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& path);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_H_
