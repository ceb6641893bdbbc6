#include "runtime/tokenizer/unicode_classes.h"

#include <algorithm>

#include "runtime/tokenizer/unicode_ranges.h"

namespace blockserve {

UnicodeClasses::UnicodeClasses() {
  for (int i = 0; i < kNumUnicodeRanges; ++i) {
    const UnicodeRange& range = kUnicodeRanges[i];
    std::fill(classes_.begin() + range.first, classes_.begin() + range.last + 1,
              range.classes);
  }
}

const UnicodeClasses& UnicodeClasses::Get() {
  static const UnicodeClasses& classes = *new UnicodeClasses();
  return classes;
}

}  // namespace blockserve
