#include "router/testing/byte_tokenizer.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/utf8.h"

namespace blockserve {

ByteTokenizer::ByteTokenizer() {
  for (int i = 0; i < 256; ++i) bytes_.push_back(static_cast<char>(i));
}

absl::StatusOr<std::vector<int32_t>> ByteTokenizer::Encode(
    std::string_view text) const {
  std::vector<int32_t> ids;
  for (char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

std::string_view ByteTokenizer::TokenBytes(int32_t id,
                                           bool skip_special) const {
  if (id < 0 || id > 255 || (id == 0 && skip_special)) return {};
  return std::string_view(bytes_).substr(id, 1);
}

absl::StatusOr<std::string> ByteTokenizer::Decode(absl::Span<const int32_t> ids,
                                                  bool skip_special) const {
  std::string bytes;
  for (int32_t id : ids) {
    if (id < 0 || id > 255) {
      return absl::InvalidArgumentError(absl::StrCat("no token ", id));
    }
    bytes.append(TokenBytes(id, skip_special));
  }
  std::string text;
  AppendUtf8Lossy(bytes, text);
  return text;
}

std::optional<int32_t> ByteTokenizer::TokenToId(std::string_view token) const {
  if (token.size() != 1) return std::nullopt;
  return static_cast<uint8_t>(token[0]);
}

}  // namespace blockserve
