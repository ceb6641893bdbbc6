// What a tokenizer.json describes, checked and with names resolved to ids.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_SPEC_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace blockserve {

// Token ids are below this: larger ones are taken for damage, not for models.
inline constexpr int32_t kMaxVocabSize = 1 << 22;

// A token that is found in the text before any merging.
struct AddedTokenSpec {
  int32_t id = 0;
  std::string content;       // valid UTF-8, not empty
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes white space on its left with it
  bool rstrip = false;       // and on its right
  bool normalized = false;   // looked for after normalisation, not before
  bool special = false;      // left out of decoded text on request
};

struct MergeSpec {
  int32_t left;
  int32_t right;
  int32_t result;
};

struct TokenizerSpec {
  bool normalize_nfc = false;
  bool add_prefix_space = false;
  bool split_words = true;     // the regular expression of GPT-2
  bool ignore_merges = false;  // a word that is a token is not merged up

  // Spelled in the byte alphabet. No two have one id.
  absl::flat_hash_map<std::string, int32_t> vocab;
  std::vector<MergeSpec> merges;  // by rank
  // Contents and ids differ; an id is the vocab's own if the content is there.
  std::vector<AddedTokenSpec> added_tokens;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_SPEC_H_
