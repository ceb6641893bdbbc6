#include "runtime/config/config_node.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

constexpr size_t kMaxQuotedLength = 60;

// What a file holds, short enough for one line of an error.
std::string Describe(const ConfigNode* node) {
  if (node == nullptr) return "nothing";
  switch (node->kind) {
    case ConfigNode::Kind::kNull:
      return "null";
    case ConfigNode::Kind::kMap:
      return "a map";
    case ConfigNode::Kind::kSequence:
      return "a list";
    case ConfigNode::Kind::kScalar:
      break;
  }
  return absl::StrCat("\"",
                      absl::CEscape(node->text.substr(0, kMaxQuotedLength)),
                      node->text.size() > kMaxQuotedLength ? "..." : "", "\"");
}

bool IsPlainScalar(const ConfigNode* node) {
  return node != nullptr && node->kind == ConfigNode::Kind::kScalar &&
         !node->quoted;
}

}  // namespace

const ConfigNode* ConfigNode::Find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name == key) return value.get();
  }
  return nullptr;
}

const ConfigNode* ConfigSection::Find(std::string_view key) const {
  const ConfigNode* found = node_ == nullptr ? nullptr : node_->Find(key);
  if (found == nullptr && defaults_ != nullptr) found = defaults_->Find(key);
  return found;
}

bool ConfigSection::Has(std::string_view key) const {
  const ConfigNode* found = Find(key);
  return found != nullptr && found->kind != ConfigNode::Kind::kNull;
}

bool ConfigSection::IsGiven(std::string_view key) const {
  return node_ != nullptr && node_->Find(key) != nullptr;
}

absl::StatusOr<ConfigSection> ConfigSection::Section(
    std::string_view key, const ConfigNode* defaults) const {
  const ConfigNode* found = Find(key);
  if (found != nullptr && found->kind == ConfigNode::Kind::kNull) {
    found = nullptr;
  }
  if (found != nullptr && found->kind != ConfigNode::Kind::kMap) {
    return Error(key, absl::StrCat("expected a map, got ", Describe(found)));
  }
  return ConfigSection(found, defaults, source_, PathOf(key));
}

absl::StatusOr<int> ConfigSection::Int(std::string_view key, int min,
                                       int max) const {
  const ConfigNode* found = Find(key);
  int64_t value = 0;
  if (!IsPlainScalar(found) || !absl::SimpleAtoi(found->text, &value) ||
      value < min || value > max) {
    return Error(key, absl::StrCat("expected an integer in [", min, ", ", max,
                                   "], got ", Describe(found)));
  }
  return static_cast<int>(value);
}

absl::StatusOr<int> ConfigSection::IntOr(std::string_view key, int absent,
                                         int min, int max) const {
  if (!Has(key)) return absent;
  return Int(key, min, max);
}

absl::StatusOr<std::optional<int>> ConfigSection::OptionalInt(
    std::string_view key, int min, int max) const {
  if (!Has(key)) return std::nullopt;
  ASSIGN_OR_RETURN(const int value, Int(key, min, max));
  return value;
}

absl::StatusOr<double> ConfigSection::Number(std::string_view key, double min,
                                             double max) const {
  const ConfigNode* found = Find(key);
  double value = 0;
  // Written so that NaN is refused too.
  if (!IsPlainScalar(found) || !absl::SimpleAtod(found->text, &value) ||
      !(value >= min && value <= max)) {
    return Error(key, absl::StrCat("expected a number in [", min, ", ", max,
                                   "], got ", Describe(found)));
  }
  return value;
}

absl::StatusOr<bool> ConfigSection::Bool(std::string_view key) const {
  const ConfigNode* found = Find(key);
  if (IsPlainScalar(found)) {
    for (const char* text : {"true", "True", "TRUE"}) {
      if (found->text == text) return true;
    }
    for (const char* text : {"false", "False", "FALSE"}) {
      if (found->text == text) return false;
    }
  }
  return Error(key,
               absl::StrCat("expected true or false, got ", Describe(found)));
}

absl::StatusOr<std::string> ConfigSection::Text(std::string_view key) const {
  const ConfigNode* found = Find(key);
  if (found == nullptr || found->kind != ConfigNode::Kind::kScalar) {
    return Error(key, absl::StrCat("expected a string, got ", Describe(found)));
  }
  return found->text;
}

absl::StatusOr<std::string> ConfigSection::TextOr(
    std::string_view key, std::string_view absent) const {
  if (!Has(key)) return std::string(absent);
  return Text(key);
}

absl::StatusOr<int> ConfigSection::OneOf(
    std::string_view key, absl::Span<const std::string_view> names) const {
  ASSIGN_OR_RETURN(const std::string text, Text(key));
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  std::string expected;
  for (std::string_view name : names) {
    absl::StrAppend(&expected, expected.empty() ? "" : " or ",
                    std::string(name));
  }
  return Unimplemented(
      key, absl::StrCat("expected ", expected, ", got ", Describe(Find(key))));
}

absl::Status ConfigSection::CheckKeysAreIn(std::string_view what) const {
  if (node_ == nullptr) return absl::OkStatus();
  for (const auto& [key, value] : node_->entries) {
    if (defaults_ == nullptr || defaults_->Find(key) == nullptr) {
      return Error(key,
                   absl::StrCat("unknown key: not in the configuration of ",
                                std::string(what)));
    }
  }
  return absl::OkStatus();
}

absl::Status ConfigSection::Error(std::string_view key,
                                  std::string_view message) const {
  return absl::InvalidArgumentError(
      absl::StrCat(Where(key), std::string(message)));
}

absl::Status ConfigSection::Unimplemented(std::string_view key,
                                          std::string_view message) const {
  return absl::UnimplementedError(
      absl::StrCat(Where(key), std::string(message)));
}

std::string ConfigSection::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key)
                       : absl::StrCat(path_, ".", std::string(key));
}

std::string ConfigSection::Where(std::string_view key) const {
  // The line of the key, or of the section that lacks it.
  const ConfigNode* at = node_ == nullptr ? nullptr : node_->Find(key);
  if (at == nullptr) at = node_;
  std::string where = source_;
  if (at != nullptr && at->line > 0) absl::StrAppend(&where, ":", at->line);
  return absl::StrCat(where, ": ", absl::CEscape(PathOf(key)), ": ");
}

}  // namespace blockserve
