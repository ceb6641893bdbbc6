// Byte-pair encoding of one word: bytes to ids by merging neighbours, the merge
// of the lowest rank first and of equal ones the leftmost.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_PAIR_ENCODER_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_PAIR_ENCODER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/tokenizer/tokenizer_spec.h"

namespace blockserve {

// Immutable and thread-safe after construction. It has no cache of words that
// threads would share or fill: whatever a merge produces as one whole token is
// known from the start and looked up first.
class BytePairEncoder {
 public:
  explicit BytePairEncoder(const TokenizerSpec& spec);

  // Appends the ids of `word`. Bytes that have no token are left out. Takes
  // O(n log n) for a word of n bytes.
  void Encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct WordHash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const {
      return std::hash<std::string_view>()(word);
    }
  };
  struct Merge {
    uint32_t rank;
    int32_t result;
  };

  // The merge of two neighbours, or null.
  const Merge* FindMerge(int32_t left, int32_t right) const;
  // Quadratic in the length, on the stack: for the words of ordinary text.
  void MergeShort(std::string_view word, std::vector<int32_t>& ids) const;
  // By a heap, for long runs of one kind of character.
  void MergeLong(std::string_view word, std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_ids_;  // -1: none
  absl::flat_hash_map<uint64_t, Merge> merges_;
  std::vector<int32_t> results_;  // of the merges, by rank
  // Words that are encoded as one token.
  absl::flat_hash_map<std::string, int32_t, WordHash, std::equal_to<>>
      whole_words_;
  size_t longest_whole_word_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_BYTE_PAIR_ENCODER_H_
