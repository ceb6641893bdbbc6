#include "runtime/serving/log_line.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace blockserve {
namespace {

constexpr size_t kMaxValueLength = 512;

bool IsPlain(absl::string_view value) {
  for (const char c : value) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        absl::string_view("._:/+-[]@,").find(c) == absl::string_view::npos) {
      return false;
    }
  }
  return !value.empty();
}

void AppendField(absl::string_view key, absl::string_view value,
                 std::string* line) {
  if (!line->empty()) line->push_back(' ');
  absl::StrAppend(line, key, "=");
  const bool is_cut = value.size() > kMaxValueLength;
  value = value.substr(0, kMaxValueLength);
  if (IsPlain(value) && !is_cut) {
    line->append(value.data(), value.size());
  } else {
    absl::StrAppend(line, "\"", absl::Utf8SafeCHexEscape(value),
                    is_cut ? "...\"" : "\"");
  }
}

}  // namespace

LogLine::LogLine(absl::string_view event, const Fields& fields) {
  AppendField("event", event, &text_);
  for (const auto& [key, value] : fields) AppendField(key, value.text, &text_);
}

}  // namespace blockserve
