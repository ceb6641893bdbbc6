#include "runtime/weights/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/json.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

using nlohmann::json;

// The format allows 100 MB; a header of 100 billion parameters has below 1 MB,
// and a hostile one costs some ten times its size to parse.
constexpr uint64_t kMaxHeaderBytes = 16 << 20;
constexpr size_t kLengthBytes = 8;
// {"name": {"shape": [..]}} is three deep.
constexpr int kMaxDepth = 8;
constexpr size_t kMaxRank = 16;

struct TypeName {
  const char* name;
  SafetensorsType type;
  int64_t size;
};

constexpr TypeName kTypes[] = {
    {"BOOL", SafetensorsType::kBool, 1},
    {"U8", SafetensorsType::kU8, 1},
    {"I8", SafetensorsType::kI8, 1},
    {"F8_E5M2", SafetensorsType::kF8E5M2, 1},
    {"F8_E4M3", SafetensorsType::kF8E4M3, 1},
    {"I16", SafetensorsType::kI16, 2},
    {"U16", SafetensorsType::kU16, 2},
    {"F16", SafetensorsType::kF16, 2},
    {"BF16", SafetensorsType::kBF16, 2},
    {"I32", SafetensorsType::kI32, 4},
    {"U32", SafetensorsType::kU32, 4},
    {"F32", SafetensorsType::kF32, 4},
    {"F64", SafetensorsType::kF64, 8},
    {"I64", SafetensorsType::kI64, 8},
    {"U64", SafetensorsType::kU64, 8},
};

// An integer that is neither negative nor beyond int64.
std::optional<int64_t> AsSize(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const uint64_t size = value.get<uint64_t>();
  if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return static_cast<int64_t>(size);
}

// Reads one entry; the result is the reason it is wrong, or empty.
std::string ReadEntry(const json& value, int64_t data_begin, int64_t data_bytes,
                      SafetensorsEntry& entry) {
  if (!value.is_object()) return "expected an object";
  const auto dtype = value.find("dtype");
  const auto shape = value.find("shape");
  const auto offsets = value.find("data_offsets");
  if (dtype == value.end() || shape == value.end() || offsets == value.end() ||
      value.size() != 3) {
    return "expected dtype, shape and data_offsets";
  }
  if (!dtype->is_string()) return "expected a string as dtype";
  const auto& type_name = dtype->get_ref<const std::string&>();
  const auto type =
      std::find_if(std::begin(kTypes), std::end(kTypes),
                   [&](const TypeName& t) { return type_name == t.name; });
  if (type == std::end(kTypes)) {
    return absl::StrCat("unknown dtype \"",
                        absl::CEscape(type_name.substr(0, 20)), "\"");
  }
  entry.type = type->type;

  if (!shape->is_array() || shape->size() > kMaxRank) {
    return absl::StrCat("expected a list of at most ", kMaxRank,
                        " extents as shape");
  }
  entry.num_bytes = type->size;
  for (const json& extent : *shape) {
    const std::optional<int64_t> size = AsSize(extent);
    if (!size.has_value() ||
        __builtin_mul_overflow(entry.num_bytes, *size, &entry.num_bytes)) {
      return "an extent of the shape is no size, or their product is too large";
    }
    entry.shape.push_back(*size);
  }
  entry.num_elements = entry.num_bytes / type->size;

  if (!offsets->is_array() || offsets->size() != 2 ||
      !AsSize((*offsets)[0]).has_value() ||
      !AsSize((*offsets)[1]).has_value()) {
    return "expected two sizes as data_offsets";
  }
  const int64_t begin = *AsSize((*offsets)[0]);
  const int64_t end = *AsSize((*offsets)[1]);
  if (begin > end || end > data_bytes) {
    return absl::StrCat("data_offsets [", begin, ", ", end,
                        ") are outside the file's ", data_bytes,
                        " bytes of data");
  }
  if (end - begin != entry.num_bytes) {
    return absl::StrCat("expected ", entry.num_bytes, " bytes for ", type_name,
                        " [", absl::StrJoin(entry.shape, ", "), "], got ",
                        end - begin);
  }
  entry.begin = data_begin + begin;
  return "";
}

// Tensors in file order must follow each other without gap or overlap.
absl::Status CheckCoverage(const SafetensorsHeader& header, int64_t data_begin,
                           int64_t file_size, const std::string& source) {
  std::vector<std::pair<const SafetensorsEntry*, const std::string*>> order;
  for (const auto& [name, entry] : header.tensors) {
    order.emplace_back(&entry, &name);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->num_bytes) <
           std::pair(b.first->begin, b.first->num_bytes);
  });
  int64_t end = data_begin;
  for (const auto& [entry, name] : order) {
    if (entry->begin != end) {
      return absl::DataLossError(
          absl::StrCat(source, ": tensor ", absl::CEscape(*name),
                       entry->begin < end ? " overlaps the one before it"
                                          : " leaves a hole before it",
                       ": expected offset ", end - data_begin, ", got ",
                       entry->begin - data_begin));
    }
    end += entry->num_bytes;
  }
  if (end != file_size) {
    return absl::DataLossError(
        absl::StrCat(source, ": expected ", end - data_begin,
                     " bytes of data, got ", file_size - data_begin));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t SizeOf(SafetensorsType type) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known.size;
  }
  return 0;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    std::string_view prefix, int64_t file_size, std::string_view source_name) {
  const std::string source(source_name);
  if (file_size < static_cast<int64_t>(kLengthBytes) ||
      prefix.size() < kLengthBytes) {
    return absl::DataLossError(absl::StrCat(
        source, ": truncated: expected a length of 8 bytes, got ", file_size));
  }
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    header_bytes |= static_cast<uint64_t>(static_cast<uint8_t>(prefix[i]))
                    << (8 * i);
  }
  if (header_bytes > kMaxHeaderBytes) {
    return absl::DataLossError(
        absl::StrCat(source, ": expected a header of at most ", kMaxHeaderBytes,
                     " bytes, got ", header_bytes));
  }
  const int64_t data_begin = static_cast<int64_t>(kLengthBytes + header_bytes);
  if (data_begin > file_size ||
      prefix.size() < static_cast<size_t>(data_begin)) {
    return absl::DataLossError(
        absl::StrCat(source, ": truncated: expected a header of ", header_bytes,
                     " bytes, the file has ", file_size));
  }
  auto parsed = ParseJson(prefix.substr(kLengthBytes, header_bytes),
                          absl::StrCat(source, ": header"), kMaxDepth);
  if (!parsed.ok()) return absl::DataLossError(parsed.status().message());
  if (!parsed->is_object()) {
    return absl::DataLossError(
        absl::StrCat(source, ": header: expected a JSON object"));
  }

  SafetensorsHeader header;
  for (const auto& [name, value] : parsed->items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) {
        return absl::DataLossError(
            absl::StrCat(source, ": __metadata__: expected an object"));
      }
      for (const auto& [key, text] : value.items()) {
        if (text.is_string()) header.metadata[key] = text.get<std::string>();
      }
      continue;
    }
    SafetensorsEntry entry;
    const std::string reason =
        ReadEntry(value, data_begin, file_size - data_begin, entry);
    if (!reason.empty()) {
      return absl::DataLossError(
          absl::StrCat(source, ": tensor ", absl::CEscape(name.substr(0, 200)),
                       ": ", reason));
    }
    header.tensors.emplace(name, std::move(entry));
  }
  RETURN_IF_ERROR(CheckCoverage(header, data_begin, file_size, source));
  return header;
}

}  // namespace blockserve
