// The word splitting of GPT-2, which byte-level BPE never merges across:
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// as a state machine over character classes: it needs no backtracking, no limit
// and no allocation, and reads each character once or twice.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_PRE_TOKENIZER_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_PRE_TOKENIZER_H_

#include <cstddef>
#include <string_view>

#include "runtime/tokenizer/unicode_classes.h"

namespace blockserve {

// The end of the word that begins at `begin`. The words of a text are found by
// starting at 0 and going on at each end; they cover it without a gap.
//   text: valid UTF-8; begin: in [0, text.size())
size_t FindWordEnd(std::string_view text, size_t begin,
                   const UnicodeClasses& classes);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_PRE_TOKENIZER_H_
