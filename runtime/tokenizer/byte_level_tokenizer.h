// The Tokenizer of GPT-2's lineage: NFC, words, bytes, byte pairs.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_LEVEL_TOKENIZER_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_LEVEL_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/byte_pair_encoder.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/tokenizer_spec.h"

namespace blockserve {

class ByteLevelTokenizer : public Tokenizer {
 public:
  // INVALID_ARGUMENT naming `source` if two added tokens look the same once
  // they are normalised.
  static absl::StatusOr<std::unique_ptr<ByteLevelTokenizer>> Create(
      const TokenizerSpec& spec, const std::string& source);

  absl::StatusOr<std::vector<int32_t>> Encode(
      std::string_view text) const override;
  std::string_view TokenBytes(int32_t id, bool skip_special) const override;
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special) const override;
  int vocab_size() const override { return static_cast<int>(tokens_.size()); }
  std::optional<int32_t> TokenToId(std::string_view token) const override;

 private:
  struct Token {
    std::string bytes;
    bool special = false;
  };

  explicit ByteLevelTokenizer(const TokenizerSpec& spec);

  absl::Status AddTokens(const TokenizerSpec& spec, const std::string& source);
  // Text between added tokens that are looked for before normalisation.
  void EncodeRaw(std::string_view text, std::vector<int32_t>& ids) const;
  // Text without any added token, normalised.
  void EncodeText(std::string_view text, std::vector<int32_t>& ids) const;

  const bool normalize_nfc_;
  const bool add_prefix_space_;
  const bool split_words_;
  const BytePairEncoder encoder_;
  AddedTokens raw_added_tokens_;
  AddedTokens normalized_added_tokens_;
  std::vector<Token> tokens_;  // by id
  absl::flat_hash_map<std::string, int32_t> token_ids_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_LEVEL_TOKENIZER_H_
