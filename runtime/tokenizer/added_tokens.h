// Cuts a text at the added tokens that are spelled out in it.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_ADDED_TOKENS_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/tokenizer/tokenizer_spec.h"

namespace blockserve {

// A set of added tokens that are looked for together. At each position the
// longest one wins, and the search goes on behind it. Immutable and thread-safe
// once everything is added.
class AddedTokens {
 public:
  // A token, or text between tokens.
  struct Piece {
    std::string_view text;  // never empty
    int32_t id;             // -1: text
  };

  // `token.content` must not be empty and not be there yet.
  void Add(const AddedTokenSpec& token);

  bool empty() const { return tokens_.empty(); }

  // Appends the pieces of `text`, which must be valid UTF-8 and outlive them.
  // Follows PyPI tokenizers also where a token takes white space on its right
  // and another one begins in there: that one is found as well, and what stands
  // behind it is split again, unless lstrip leaves nothing of it.
  void Split(std::string_view text, std::vector<Piece>& pieces) const;

 private:
  struct Token {
    int32_t id;
    bool single_word;
    bool lstrip;
    bool rstrip;
  };

  // The longest token at the start of `text`: its index, or -1.
  int FindLongest(std::string_view text, size_t* length) const;
  bool IsSingleWord(std::string_view text, size_t begin, size_t end) const;

  std::vector<Token> tokens_;
  // A trie: node 0 is the root, (node << 8 | byte) leads to the next one.
  absl::flat_hash_map<uint64_t, uint32_t> next_node_;
  std::vector<int> token_at_node_ = {-1};
  std::array<bool, 256> is_first_byte_{};
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_ADDED_TOKENS_H_
