// A configuration file as a tree, and typed access to it with errors that name
// file, line and key.
#ifndef BLOCKSERVE_RUNTIME_CONFIG_CONFIG_NODE_H_
#define BLOCKSERVE_RUNTIME_CONFIG_CONFIG_NODE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace blockserve {

// One value of a YAML or JSON file. Scalars stay text until they are asked for.
struct ConfigNode {
  enum class Kind { kNull, kScalar, kMap, kSequence };

  Kind kind = Kind::kNull;
  std::string text;     // of a scalar
  bool quoted = false;  // a scalar that can only be a string
  int line = 0;         // from 1; 0: unknown
  std::vector<std::pair<std::string, std::shared_ptr<const ConfigNode>>>
      entries;                                              // of a map
  std::vector<std::shared_ptr<const ConfigNode>> elements;  // of a sequence

  // The value of `key` in a map, or nullptr.
  const ConfigNode* Find(std::string_view key) const;
};

// A map in a file, laid over the defaults of a base model. Copyable; borrows
// its nodes.
class ConfigSection {
 public:
  // `node` and `defaults` are maps or null; `path` names the section in errors
  // ("" at the top).
  ConfigSection(const ConfigNode* node, const ConfigNode* defaults,
                std::string_view source, std::string_view path)
      : node_(node), defaults_(defaults), source_(source), path_(path) {}

  // The value of `key`, from the file or else from the defaults, or nullptr.
  const ConfigNode* Find(std::string_view key) const;
  // Present and not null.
  bool Has(std::string_view key) const;
  // In the file itself, null included.
  bool IsGiven(std::string_view key) const;

  // The map under `key`, empty if it is absent or null, over `defaults`.
  absl::StatusOr<ConfigSection> Section(
      std::string_view key, const ConfigNode* defaults = nullptr) const;

  // INVALID_ARGUMENT if the key is absent, null, of another type or outside
  // [min, max].
  absl::StatusOr<int> Int(std::string_view key, int min, int max) const;
  absl::StatusOr<int> IntOr(std::string_view key, int absent, int min,
                            int max) const;
  absl::StatusOr<std::optional<int>> OptionalInt(std::string_view key, int min,
                                                 int max) const;
  absl::StatusOr<double> Number(std::string_view key, double min,
                                double max) const;
  absl::StatusOr<bool> Bool(std::string_view key) const;
  absl::StatusOr<std::string> Text(std::string_view key) const;
  absl::StatusOr<std::string> TextOr(std::string_view key,
                                     std::string_view absent) const;
  // One of `names`; its index. UNIMPLEMENTED for another value.
  absl::StatusOr<int> OneOf(std::string_view key,
                            absl::Span<const std::string_view> names) const;

  // INVALID_ARGUMENT for a key of the file that the defaults do not have.
  absl::Status CheckKeysAreIn(std::string_view what) const;

  // "config.yaml:12: embedder.cls: " + message.
  absl::Status Error(std::string_view key, std::string_view message) const;
  absl::Status Unimplemented(std::string_view key,
                             std::string_view message) const;

  const std::string& source() const { return source_; }

 private:
  std::string Where(std::string_view key) const;
  std::string PathOf(std::string_view key) const;

  const ConfigNode* node_;
  const ConfigNode* defaults_;
  std::string source_;
  std::string path_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_CONFIG_NODE_H_
