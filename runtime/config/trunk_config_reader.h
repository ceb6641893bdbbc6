// Reads one trunk of a configuration: sizes, and the settings that only have
// one supported value.
#ifndef BLOCKSERVE_RUNTIME_CONFIG_TRUNK_CONFIG_READER_H_
#define BLOCKSERVE_RUNTIME_CONFIG_TRUNK_CONFIG_READER_H_

#include <optional>

#include "absl/status/statusor.h"
#include "runtime/config/config_node.h"
#include "runtime/config/model_config.h"

namespace blockserve {

// Limits of what a file may ask for. Far above any model, and low enough that
// the product of two extents fits 64 bits and each fits an int.
inline constexpr int kMaxBlockLength = 64;
inline constexpr int kMaxExpansionRatio = 64;
inline constexpr int kMaxClsTokens = 64;
inline constexpr int kMaxHiddenDim = 1 << 16;
inline constexpr int kMaxVocabSize = 1 << 22;
inline constexpr int kMaxLayers = 1024;

struct TrunkReading {
  TrunkConfig trunk;
  std::optional<int> bos_token_id;
  std::optional<int> eos_token_id;
  std::optional<int> pad_token_id;
};

// `section` (for instance `block_decoder`) names a base model of `kind` in
// `model_name_or_path` and overrides its values in `config_key`. With
// `fill_in`, head count and FFN width that are not overridden follow from the
// hidden size (FORMAT.md 3.2).
absl::StatusOr<TrunkReading> ReadTrunk(const ConfigSection& section,
                                       TrunkKind kind,
                                       std::string_view config_key,
                                       bool fill_in);

// GPT-NeoX from a section that already has its defaults.
absl::StatusOr<TrunkReading> ReadGptNeoX(const ConfigSection& config,
                                         bool fill_in);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_TRUNK_CONFIG_READER_H_
