#include "runtime/tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "runtime/base/utf8.h"
#include "runtime/tokenizer/unicode_classes.h"

namespace blockserve {
namespace {

// The first position from `position` on that has a character from U+0300 on:
// there combining marks begin, and nothing before them is kNfcActive. Bytes
// below 0xCC, its lead byte, are such characters or continue them.
size_t FindActiveLead(std::string_view text, size_t position) {
  while (position < text.size() &&
         static_cast<uint8_t>(text[position]) < 0xCC) {
    ++position;
  }
  return position;
}

size_t StartOfCharacterBefore(std::string_view text, size_t position) {
  do {
    --position;
  } while ((static_cast<uint8_t>(text[position]) & 0xC0) == 0x80);
  return position;
}

utf8proc_propval_t CombiningClass(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// Orders each run of combining marks by class. utf8proc would do so itself, in
// time quadratic in the length of the run: a text of marks would take hours.
void OrderMarks(std::vector<utf8proc_int32_t>& code_points) {
  auto begin = code_points.begin();
  while (begin != code_points.end()) {
    if (CombiningClass(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, code_points.end(),
                     [](utf8proc_int32_t c) { return CombiningClass(c) == 0; });
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return CombiningClass(a) < CombiningClass(b);
    });
    begin = end;
  }
}

// Appends the NFC of `segment`. `scratch` is reused between calls.
void AppendNfc(std::string_view segment, std::vector<utf8proc_int32_t>& scratch,
               std::string& out) {
  // The longest canonical decomposition of one code point has 4.
  constexpr int kMaxDecomposition = 8;
  scratch.clear();
  for (size_t position = 0; position < segment.size();) {
    const char32_t code_point = NextUtf8(segment, &position);
    utf8proc_int32_t parts[kMaxDecomposition];
    int last_boundclass = 0;
    const utf8proc_ssize_t num_parts = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(code_point), parts, kMaxDecomposition,
        UTF8PROC_DECOMPOSE, &last_boundclass);
    if (num_parts > 0 && num_parts <= kMaxDecomposition) {
      scratch.insert(scratch.end(), parts, parts + num_parts);
    } else {
      scratch.push_back(static_cast<utf8proc_int32_t>(code_point));
    }
  }
  OrderMarks(scratch);
  const utf8proc_ssize_t length = utf8proc_normalize_utf32(
      scratch.data(), static_cast<utf8proc_ssize_t>(scratch.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    AppendUtf8(static_cast<char32_t>(scratch[i]), out);
  }
}

}  // namespace

std::string_view NormalizeNfc(std::string_view text, std::string& buffer) {
  const UnicodeClasses& classes = UnicodeClasses::Get();
  buffer.clear();
  std::vector<utf8proc_int32_t> scratch;
  size_t copied = 0;         // text[0, copied) stands in `buffer`
  size_t context = 0;        // the character before `position`, if it is one
  bool has_context = false;  // that a mark may change
  for (size_t position = 0; position < text.size();) {
    const size_t skipped = position;
    position = FindActiveLead(text, position);
    if (position == text.size()) break;
    if (position > skipped) {
      context = StartOfCharacterBefore(text, position);
      size_t next = context;
      has_context = (classes[NextUtf8(text, &next)] & kNfcContext) != 0;
    }
    const size_t begin = position;
    const uint8_t character = classes[NextUtf8(text, &position)];
    if ((character & kNfcActive) == 0) {
      context = begin;
      has_context = (character & kNfcContext) != 0;
      continue;
    }
    // A segment that nothing outside it can change: the marks that stand here
    // and the character they stand on.
    const size_t segment_begin = has_context ? context : begin;
    while (position < text.size()) {
      size_t next = position;
      if ((classes[NextUtf8(text, &next)] & kNfcActive) == 0) break;
      position = next;
    }
    buffer.append(text.substr(copied, segment_begin - copied));
    AppendNfc(text.substr(segment_begin, position - segment_begin), scratch,
              buffer);
    copied = position;
    has_context = false;
  }
  if (copied == 0) return text;
  buffer.append(text.substr(copied));
  return buffer;
}

}  // namespace blockserve
