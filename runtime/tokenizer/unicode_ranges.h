// The table behind unicode_classes.h, as unicode_ranges.cc spells it.
#ifndef BLOCKSERVE_RUNTIME_TOKENIZER_UNICODE_RANGES_H_
#define BLOCKSERVE_RUNTIME_TOKENIZER_UNICODE_RANGES_H_

#include <cstdint>

namespace blockserve {

// Code points [first, last] of the same classes (bits of UnicodeClass).
struct UnicodeRange {
  uint32_t first;
  uint32_t last;
  uint8_t classes;
};

// Ascending and disjoint; code points in no range have no class.
extern const UnicodeRange kUnicodeRanges[];
extern const int kNumUnicodeRanges;

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TOKENIZER_UNICODE_RANGES_H_
