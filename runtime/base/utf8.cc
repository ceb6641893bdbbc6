#include "runtime/base/utf8.h"

#include <cstring>

namespace blockserve {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The shape of the character a lead byte announces: how many bytes, and the
// range of the second one, which alone rules out overlong forms, surrogates
// and what lies above U+10FFFF. Length 0: not a lead byte.
struct LeadByte {
  int length;
  uint8_t second_min;
  uint8_t second_max;
};

LeadByte ClassifyLead(uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Unit ReadUtf8Unit(std::string_view text) {
  const LeadByte lead = ClassifyLead(static_cast<uint8_t>(text[0]));
  if (lead.length == 0) return {Utf8Kind::kInvalid, 1};
  uint8_t min = lead.second_min;
  uint8_t max = lead.second_max;
  for (int i = 1; i < lead.length; ++i) {
    if (static_cast<size_t>(i) == text.size()) {
      return {Utf8Kind::kUnfinished, i};
    }
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    if (byte < min || byte > max) return {Utf8Kind::kInvalid, i};
    min = 0x80;
    max = 0xBF;
  }
  return {Utf8Kind::kValid, lead.length};
}

size_t ValidUtf8PrefixLength(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    // Eight ASCII bytes at a time: most text is mostly that.
    uint64_t word;
    if (text.size() - position >= sizeof(word)) {
      std::memcpy(&word, text.data() + position, sizeof(word));
      if ((word & 0x8080808080808080u) == 0) {
        position += sizeof(word);
        continue;
      }
    }
    const Utf8Unit unit = ReadUtf8Unit(text.substr(position));
    if (unit.kind != Utf8Kind::kValid) return position;
    position += unit.length;
  }
  return position;
}

size_t UnfinishedUtf8SuffixLength(std::string_view text) {
  const size_t longest = text.size() < 3 ? text.size() : 3;
  for (size_t length = 1; length <= longest; ++length) {
    const std::string_view suffix = text.substr(text.size() - length);
    const uint8_t first = static_cast<uint8_t>(suffix[0]);
    if ((first & 0xC0) == 0x80) continue;  // in the middle of a character
    const Utf8Unit unit = ReadUtf8Unit(suffix);
    return unit.kind == Utf8Kind::kUnfinished ? length : 0;
  }
  return 0;
}

void AppendUtf8Lossy(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const size_t valid = ValidUtf8PrefixLength(text);
    out.append(text.substr(0, valid));
    text.remove_prefix(valid);
    if (text.empty()) return;
    out.append(kReplacement);
    text.remove_prefix(ReadUtf8Unit(text).length);
  }
}

void AppendUtf8(char32_t code_point, std::string& out) {
  const auto put = [&out](uint32_t byte) {
    out.push_back(static_cast<char>(byte));
  };
  const uint32_t c = code_point;
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace blockserve
