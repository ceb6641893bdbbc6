// Unicode normalisation form C, as PyPI tokenizers performs it.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_NFC_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_NFC_H_

#include <string>
#include <string_view>

namespace blockserve {

// Returns `text` in NFC: `text` itself if it already is, else a view of
// `buffer`, which is overwritten. `text` must be valid UTF-8 and may not point
// into `buffer`. Takes time linear in the text (times a logarithm for runs of
// combining marks), whatever the text is.
//
// PyPI tokenizers normalises by the tables of Unicode 9: to it, combining marks
// that were added later are ordinary characters. utf8proc knows newer versions;
// it is shown only the code points whose normalisation Unicode 9 defines, and
// these are frozen by Unicode's stability policy.
std::string_view NormalizeNfc(std::string_view text, std::string& buffer);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_NFC_H_
