#include "runtime/tokenizer/added_tokens.h"

#include "runtime/base/utf8.h"
#include "runtime/tokenizer/unicode_classes.h"

namespace blockserve {
namespace {

bool HasClass(std::string_view text, size_t position, UnicodeClass wanted) {
  return (UnicodeClasses::Get()[NextUtf8(text, &position)] & wanted) != 0;
}

size_t CharacterBefore(std::string_view text, size_t position) {
  do {
    --position;
  } while ((static_cast<uint8_t>(text[position]) & 0xC0) == 0x80);
  return position;
}

size_t SkipSpaceBackwards(std::string_view text, size_t position,
                          size_t limit) {
  while (position > limit) {
    const size_t before = CharacterBefore(text, position);
    if (!HasClass(text, before, kSpace)) break;
    position = before;
  }
  return position;
}

size_t SkipSpace(std::string_view text, size_t position) {
  while (position < text.size() && HasClass(text, position, kSpace)) {
    NextUtf8(text, &position);
  }
  return position;
}

}  // namespace

void AddedTokens::Add(const AddedTokenSpec& token) {
  uint32_t node = 0;
  for (char c : token.content) {
    const uint8_t byte = static_cast<uint8_t>(c);
    const uint32_t new_node = static_cast<uint32_t>(token_at_node_.size());
    const auto [edge, inserted] =
        next_node_.try_emplace(uint64_t{node} << 8 | byte, new_node);
    if (inserted) token_at_node_.push_back(-1);
    node = edge->second;
  }
  is_first_byte_[static_cast<uint8_t>(token.content[0])] = true;
  token_at_node_[node] = static_cast<int>(tokens_.size());
  tokens_.push_back({token.id, token.single_word, token.lstrip, token.rstrip});
}

int AddedTokens::FindLongest(std::string_view text, size_t* length) const {
  int longest = -1;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<uint8_t>(text[i]);
    const auto edge = next_node_.find(key);
    if (edge == next_node_.end()) break;
    node = edge->second;
    if (token_at_node_[node] >= 0) {
      longest = token_at_node_[node];
      *length = i + 1;
    }
  }
  return longest;
}

bool AddedTokens::IsSingleWord(std::string_view text, size_t begin,
                               size_t end) const {
  if (begin > 0 && HasClass(text, CharacterBefore(text, begin), kWord)) {
    return false;
  }
  return end == text.size() || !HasClass(text, end, kWord);
}

void AddedTokens::Split(std::string_view text,
                        std::vector<Piece>& pieces) const {
  size_t covered = 0;  // text[0, covered) stands in `pieces`
  size_t position = tokens_.empty() ? text.size() : 0;
  while (position < text.size()) {
    if (!is_first_byte_[static_cast<uint8_t>(text[position])]) {
      ++position;
      continue;
    }
    size_t length = 0;
    const int index = FindLongest(text.substr(position), &length);
    if (index < 0) {
      ++position;
      continue;
    }
    const Token& token = tokens_[index];
    size_t begin = position;
    size_t end = position + length;
    position = end;
    if (token.single_word && !IsSingleWord(text, begin, end)) continue;
    if (token.lstrip) {
      begin =
          begin > covered ? SkipSpaceBackwards(text, begin, covered) : covered;
    }
    if (token.rstrip) end = SkipSpace(text, end);
    if (begin > end) continue;  // the reference crashes here
    if (covered < begin) {
      pieces.push_back({text.substr(covered, begin - covered), -1});
    }
    if (begin < end) {
      pieces.push_back({text.substr(begin, end - begin), token.id});
    }
    covered = end;
  }
  if (covered < text.size()) pieces.push_back({text.substr(covered), -1});
}

}  // namespace blockserve
