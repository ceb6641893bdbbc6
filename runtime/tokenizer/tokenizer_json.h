// Reads the description of a tokenizer from Hugging Face's tokenizer.json.
//
// Supported: a BPE model over the byte alphabet (merges as "a b" or as pairs;
// ignore_merges), NFC or no normaliser, a ByteLevel pre-tokeniser and decoder,
// and added tokens of every kind. `truncation`, `padding` and `post_processor`
// are ignored: they cut a text or put special tokens around it, and neither is
// the tokenizer's business here. Anything else that would change an id is
// refused.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_JSON_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/tokenizer/tokenizer_spec.h"

namespace blockserve {

// INVALID_ARGUMENT naming `source` and the key that is malformed or not
// supported.
absl::StatusOr<TokenizerSpec> ParseTokenizerJson(std::string_view text,
                                                 const std::string& source);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_TOKENIZER_JSON_H_
