#include "runtime/tokenizer/pre_tokenizer.h"

#include "runtime/base/utf8.h"

namespace blockserve {
namespace {

// A character is of at most one of these; of none: punctuation, symbols,
// marks, controls, what is unassigned.
constexpr uint8_t kWordKinds = kLetter | kNumber | kSpace;

uint8_t KindAt(std::string_view text, size_t position,
               const UnicodeClasses& classes, size_t* next) {
  *next = position;
  return classes[NextUtf8(text, next)] & kWordKinds;
}

// Length of the contraction at the start of `text` ('s 't 're 've 'm 'll 'd),
// or 0. `text` begins with an apostrophe.
size_t ContractionLength(std::string_view text) {
  if (text.size() < 2) return 0;
  switch (text[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return text.size() > 2 && text[2] == 'e' ? 3 : 0;
    case 'l':
      return text.size() > 2 && text[2] == 'l' ? 3 : 0;
    default:
      return 0;
  }
}

// The end of the run of characters of one kind that goes on at `position`.
size_t FindRunEnd(std::string_view text, size_t position, uint8_t kind,
                  const UnicodeClasses& classes) {
  while (position < text.size()) {
    size_t next;
    if (KindAt(text, position, classes, &next) != kind) break;
    position = next;
  }
  return position;
}

// White space up to the end of the text is one word. Before something else it
// leaves its last character out, which begins the next word, unless it is that
// character alone.
size_t FindSpaceEnd(std::string_view text, size_t begin,
                    const UnicodeClasses& classes) {
  size_t last = begin;
  size_t end = begin;
  while (end < text.size()) {
    size_t next;
    if (KindAt(text, end, classes, &next) != kSpace) {
      return last > begin ? last : end;
    }
    last = end;
    end = next;
  }
  return end;
}

}  // namespace

size_t FindWordEnd(std::string_view text, size_t begin,
                   const UnicodeClasses& classes) {
  if (text[begin] == '\'') {
    const size_t length = ContractionLength(text.substr(begin));
    if (length > 0) return begin + length;
  }
  size_t next;
  uint8_t kind = KindAt(text, begin, classes, &next);
  if (text[begin] == ' ' && next < text.size()) {
    // One plain space belongs to the word behind it.
    size_t after;
    kind = KindAt(text, next, classes, &after);
    if (kind != kSpace) next = after;
  }
  if (kind == kSpace) return FindSpaceEnd(text, begin, classes);
  return FindRunEnd(text, next, kind, classes);
}

}  // namespace blockserve
