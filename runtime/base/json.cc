#include "runtime/base/json.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

using nlohmann::json;

// The deepest nesting of brackets, found before the parser allocates for it.
int Depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

}  // namespace

absl::StatusOr<json> ParseJson(std::string_view text,
                               std::string_view source_name, int max_depth) {
  const std::string source(source_name);
  if (Depth(text) > max_depth) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": JSON nested deeper than ", max_depth));
  }
  std::vector<std::unordered_set<std::string>> keys;  // of the open objects
  std::string duplicate;
  bool has_duplicate = false;
  const auto check_keys = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !has_duplicate) {
      const auto& key = value.get_ref<const std::string&>();
      has_duplicate = !keys.back().insert(key).second;
      if (has_duplicate) duplicate = key;
    }
    return true;
  };
  try {
    json value = json::parse(text.begin(), text.end(), check_keys);
    if (has_duplicate) {
      return absl::InvalidArgumentError(absl::StrCat(
          source, ": key \"", absl::CEscape(duplicate), "\" is given twice"));
    }
    return value;
  } catch (const json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": malformed JSON at byte ", error.byte));
  } catch (const json::exception& error) {  // a number out of range
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": malformed JSON (code ", error.id, ")"));
  }
}

}  // namespace blockserve
