#include "runtime/golden/golden_tensors.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "runtime/base/status_macros.h"
#include "runtime/weights/safetensors_file.h"

namespace blockserve {
namespace {

template <typename T>
absl::StatusOr<std::vector<T>> ReadAll(const SafetensorsFile& file,
                                       const SafetensorsEntry& entry) {
  std::vector<T> values(static_cast<size_t>(entry.num_elements));
  RETURN_IF_ERROR(file.ReadBytes(
      entry.begin, absl::MakeSpan(reinterpret_cast<char*>(values.data()),
                                  values.size() * sizeof(T))));
  return values;
}

}  // namespace

const GoldenTensor* GoldenTensors::Find(const std::string& name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

absl::StatusOr<GoldenTensors> ReadGoldenTensors(const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(path));
  GoldenTensors golden;
  for (const auto& [name, entry] : file->header().tensors) {
    GoldenTensor tensor;
    tensor.shape = entry.shape;
    if (entry.type == SafetensorsType::kF32) {
      ASSIGN_OR_RETURN(tensor.values, ReadAll<float>(*file, entry));
    } else if (entry.type == SafetensorsType::kI64) {
      ASSIGN_OR_RETURN(const auto wide, ReadAll<int64_t>(*file, entry));
      for (const int64_t value : wide) {
        if (value < INT32_MIN || value > INT32_MAX) {
          return absl::DataLossError(absl::StrCat(
              path, ": tensor ", absl::CEscape(name), " holds ", value));
        }
        tensor.integers.push_back(static_cast<int32_t>(value));
      }
    } else {
      return absl::DataLossError(absl::StrCat(
          path, ": tensor ", absl::CEscape(name), ": expected F32 or I64"));
    }
    golden.tensors[name] = std::move(tensor);
  }
  return golden;
}

}  // namespace blockserve
