#include "runtime/tokenizer/byte_level_tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/utf8.h"
#include "runtime/tokenizer/byte_alphabet.h"
#include "runtime/tokenizer/nfc.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/unicode_classes.h"

namespace blockserve {
namespace {

// Positions inside a word are 32 bits.
constexpr size_t kMaxTextBytes = size_t{1} << 30;

// A token that is no spelling of bytes, as an added one with a space in it, is
// decoded to its own text.
std::string DecodedBytes(const std::string& token) {
  std::optional<std::string> bytes = BytesOfToken(token);
  return bytes.has_value() ? *std::move(bytes) : token;
}

}  // namespace

ByteLevelTokenizer::ByteLevelTokenizer(const TokenizerSpec& spec)
    : normalize_nfc_(spec.normalize_nfc),
      add_prefix_space_(spec.add_prefix_space),
      split_words_(spec.split_words),
      encoder_(spec),
      token_ids_(spec.vocab) {}

absl::StatusOr<std::unique_ptr<ByteLevelTokenizer>> ByteLevelTokenizer::Create(
    const TokenizerSpec& spec, const std::string& source) {
  auto tokenizer = absl::WrapUnique(new ByteLevelTokenizer(spec));
  RETURN_IF_ERROR(tokenizer->AddTokens(spec, source));
  return tokenizer;
}

absl::Status ByteLevelTokenizer::AddTokens(const TokenizerSpec& spec,
                                           const std::string& source) {
  int32_t largest_id = -1;
  for (const auto& [token, id] : spec.vocab) {
    largest_id = std::max(largest_id, id);
  }
  for (const AddedTokenSpec& token : spec.added_tokens) {
    largest_id = std::max(largest_id, token.id);
  }
  tokens_.resize(static_cast<size_t>(largest_id) + 1);
  for (const auto& [token, id] : spec.vocab) {
    tokens_[id].bytes = DecodedBytes(token);
  }

  absl::flat_hash_set<std::string> special;
  for (const AddedTokenSpec& token : spec.added_tokens) {
    if (token.special) special.insert(token.content);
  }
  absl::flat_hash_set<std::string> normalized_contents;
  for (AddedTokenSpec token : spec.added_tokens) {
    token_ids_[token.content] = token.id;
    if (token.normalized) {
      if (normalize_nfc_) {
        std::string buffer;
        token.content = std::string(NormalizeNfc(token.content, buffer));
      }
      if (!normalized_contents.insert(token.content).second) {
        return absl::InvalidArgumentError(
            absl::StrCat(source, ": added_tokens: two that are \"",
                         absl::CHexEscape(token.content), "\" in NFC"));
      }
      normalized_added_tokens_.Add(token);
    } else {
      raw_added_tokens_.Add(token);
    }
    // The reference asks of the decoded token, here in NFC, whether it is the
    // content of a special one.
    tokens_[token.id] = {DecodedBytes(token.content),
                         special.contains(token.content)};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> ByteLevelTokenizer::Encode(
    std::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "text of ", text.size(), " bytes, at most ", kMaxTextBytes));
  }
  const size_t valid = ValidUtf8PrefixLength(text);
  if (valid != text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("text is not valid UTF-8 at byte ", valid));
  }
  std::vector<AddedTokens::Piece> pieces;
  raw_added_tokens_.Split(text, pieces);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4);
  for (const AddedTokens::Piece& piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
    } else {
      EncodeRaw(piece.text, ids);
    }
  }
  return ids;
}

void ByteLevelTokenizer::EncodeRaw(std::string_view text,
                                   std::vector<int32_t>& ids) const {
  // Each piece by itself: a mark behind an added token joins nothing.
  std::string buffer;
  if (normalize_nfc_) text = NormalizeNfc(text, buffer);
  std::vector<AddedTokens::Piece> pieces;
  normalized_added_tokens_.Split(text, pieces);
  for (const AddedTokens::Piece& piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
    } else {
      EncodeText(piece.text, ids);
    }
  }
}

void ByteLevelTokenizer::EncodeText(std::string_view text,
                                    std::vector<int32_t>& ids) const {
  std::string prefixed;
  if (add_prefix_space_ && text[0] != ' ') {
    prefixed.append(" ").append(text);
    text = prefixed;
  }
  if (!split_words_) {
    encoder_.Encode(text, ids);
    return;
  }
  const UnicodeClasses& classes = UnicodeClasses::Get();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = FindWordEnd(text, begin, classes);
    encoder_.Encode(text.substr(begin, end - begin), ids);
    begin = end;
  }
}

std::string_view ByteLevelTokenizer::TokenBytes(int32_t id,
                                                bool skip_special) const {
  if (id < 0 || id >= vocab_size()) return {};
  const Token& token = tokens_[id];
  if (skip_special && token.special) return {};
  return token.bytes;
}

absl::StatusOr<std::string> ByteLevelTokenizer::Decode(
    absl::Span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is not in [0, ", vocab_size(), ")"));
    }
    bytes.append(TokenBytes(id, skip_special));
  }
  if (IsValidUtf8(bytes)) return bytes;
  std::string text;
  AppendUtf8Lossy(bytes, text);
  return text;
}

std::optional<int32_t> ByteLevelTokenizer::TokenToId(
    std::string_view token) const {
  const auto found = token_ids_.find(std::string(token));
  if (found == token_ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace blockserve
