// Typed access to the fields of a JSON object, with errors that say where.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_JSON_FIELDS_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_JSON_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace blockserve {

// One object of a file; borrows it. A key that is absent or null reads as "not
// given" by the functions that return an optional or an empty vector.
class JsonFields {
 public:
  // INVALID_ARGUMENT unless `value` is an object.
  static absl::StatusOr<JsonFields> Create(const nlohmann::json& value,
                                           std::string where);

  const nlohmann::json* Find(const char* key) const;

  absl::StatusOr<std::string> Text(const char* key) const;
  absl::StatusOr<int> Int(const char* key, int min, int max) const;
  absl::StatusOr<std::optional<int>> OptionalInt(const char* key, int min,
                                                 int max) const;
  absl::StatusOr<std::optional<bool>> OptionalBool(const char* key) const;
  // Ids in [0, vocab_size), of a list or a list of lists, flattened.
  absl::StatusOr<std::vector<int32_t>> Ids(const char* key,
                                           int vocab_size) const;
  // Zeros and ones, likewise.
  absl::StatusOr<std::vector<uint8_t>> Mask(const char* key) const;
  absl::StatusOr<std::vector<float>> Numbers(const char* key) const;
  // The elements of a list of objects.
  absl::StatusOr<std::vector<JsonFields>> Objects(const char* key) const;
  absl::Status Error(const char* key, const std::string& message) const;

  const std::string& where() const { return where_; }

 private:
  JsonFields(const nlohmann::json* object, std::string where)
      : object_(object), where_(std::move(where)) {}

  const nlohmann::json* object_;
  std::string where_;
};

// The integers of a list or a list of lists, each in [min, max], or nothing.
std::optional<std::vector<int32_t>> FlatIntegers(const nlohmann::json& value,
                                                 int min, int max);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_JSON_FIELDS_H_
