// The header of a safetensors file: names, types, shapes and places of tensors.
#ifndef BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_HEADER_H_
#define BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace blockserve {

// Every type the format defines.
enum class SafetensorsType {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64
};

int64_t SizeOf(SafetensorsType type);

struct SafetensorsEntry {
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<int64_t> shape;
  int64_t num_elements = 0;
  int64_t begin = 0;  // bytes, from the start of the file
  int64_t num_bytes = 0;
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
};

// Parses the header of a file of `file_size` bytes that starts with `prefix`
// (the whole file, or at least its header). The file must be
//   u64 little-endian N; N bytes of JSON; data
// with N <= 16 MiB, and the tensors must cover the data without gap or overlap.
// DATA_LOSS, with `source` in front, otherwise.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    std::string_view prefix, int64_t file_size, std::string_view source);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_HEADER_H_
