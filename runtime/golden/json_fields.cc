#include "runtime/golden/json_fields.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

using nlohmann::json;

bool AppendIntegers(const json& value, int min, int max, int depth,
                    std::vector<int32_t>& out) {
  if (!value.is_array()) return false;
  for (const json& element : value) {
    if (element.is_array()) {
      if (depth == 0 || !AppendIntegers(element, min, max, depth - 1, out)) {
        return false;
      }
      continue;
    }
    if (!element.is_number_integer()) return false;
    // Beyond int64 it is unsigned and would wrap.
    if (element.is_number_unsigned() &&
        element.get<uint64_t>() > static_cast<uint64_t>(INT32_MAX)) {
      return false;
    }
    const int64_t number = element.get<int64_t>();
    if (number < min || number > max) return false;
    out.push_back(static_cast<int32_t>(number));
  }
  return true;
}

}  // namespace

std::optional<std::vector<int32_t>> FlatIntegers(const json& value, int min,
                                                 int max) {
  std::vector<int32_t> numbers;
  if (!AppendIntegers(value, min, max, /*depth=*/1, numbers)) {
    return std::nullopt;
  }
  return numbers;
}

absl::StatusOr<JsonFields> JsonFields::Create(const json& value,
                                              std::string where) {
  if (value.is_object()) return JsonFields(&value, std::move(where));
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": expected an object"));
}

const json* JsonFields::Find(const char* key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

absl::Status JsonFields::Error(const char* key,
                               const std::string& message) const {
  return absl::InvalidArgumentError(
      absl::StrCat(where_, ".", key, ": ", message));
}

absl::StatusOr<std::string> JsonFields::Text(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return Error(key, "expected a string");
  // It is printed: keep a line a line.
  return absl::CEscape(value->get_ref<const std::string&>());
}

absl::StatusOr<int> JsonFields::Int(const char* key, int min, int max) const {
  ASSIGN_OR_RETURN(const std::optional<int> value, OptionalInt(key, min, max));
  if (value.has_value()) return *value;
  return Error(key, "is missing");
}

absl::StatusOr<std::optional<int>> JsonFields::OptionalInt(const char* key,
                                                           int min,
                                                           int max) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = value->is_number_integer()
                          ? FlatIntegers(json::array({*value}), min, max)
                          : std::nullopt;
  if (!number.has_value()) {
    return Error(key,
                 absl::StrCat("expected an integer in [", min, ", ", max, "]"));
  }
  return (*number)[0];
}

absl::StatusOr<std::optional<bool>> JsonFields::OptionalBool(
    const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return Error(key, "expected true or false");
  return value->get<bool>();
}

absl::StatusOr<std::vector<int32_t>> JsonFields::Ids(const char* key,
                                                     int vocab_size) const {
  const json* value = Find(key);
  if (value == nullptr) return std::vector<int32_t>();
  auto ids = FlatIntegers(*value, 0, vocab_size - 1);
  if (ids.has_value()) return *std::move(ids);
  return Error(key,
               absl::StrCat("expected a list of ids in [0, ", vocab_size, ")"));
}

absl::StatusOr<std::vector<uint8_t>> JsonFields::Mask(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::vector<uint8_t>();
  const auto mask = FlatIntegers(*value, 0, 1);
  if (!mask.has_value()) return Error(key, "expected a list of zeros and ones");
  return std::vector<uint8_t>(mask->begin(), mask->end());
}

absl::StatusOr<std::vector<float>> JsonFields::Numbers(const char* key) const {
  std::vector<float> numbers;
  const json* value = Find(key);
  if (value == nullptr) return numbers;
  if (!value->is_array()) return Error(key, "expected a list of numbers");
  for (const json& element : *value) {
    if (!element.is_number()) return Error(key, "expected a list of numbers");
    numbers.push_back(element.get<float>());
  }
  return numbers;
}

absl::StatusOr<std::vector<JsonFields>> JsonFields::Objects(
    const char* key) const {
  std::vector<JsonFields> objects;
  const json* value = Find(key);
  if (value == nullptr) return objects;
  if (!value->is_array()) return Error(key, "expected a list of objects");
  for (const json& element : *value) {
    ASSIGN_OR_RETURN(JsonFields fields,
                     Create(element, absl::StrCat(where_, ".", key, "[",
                                                  objects.size(), "]")));
    objects.push_back(std::move(fields));
  }
  return objects;
}

}  // namespace blockserve
