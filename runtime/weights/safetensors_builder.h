// Makes safetensors files for tests.
#ifndef BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_BUILDER_H_
#define BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_BUILDER_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace blockserve {

// A file from its header's JSON and its data.
inline std::string SafetensorsBytes(const std::string& header,
                                    const std::string& data) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) {
    file[i] = static_cast<char>((header.size() >> (8 * i)) & 0xff);
  }
  return file + header + data;
}

class SafetensorsBuilder {
 public:
  template <typename T>
  SafetensorsBuilder& Add(const std::string& name, const std::string& dtype,
                          const std::vector<int64_t>& shape,
                          const std::vector<T>& values) {
    const size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()),
                 values.size() * sizeof(T));
    entries_.push_back(absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype,
                                    "\",\"shape\":[", absl::StrJoin(shape, ","),
                                    "],\"data_offsets\":[", begin, ",",
                                    data_.size(), "]}"));
    return *this;
  }

  std::string Build() const {
    return SafetensorsBytes(
        absl::StrCat("{", absl::StrJoin(entries_, ","), "}"), data_);
  }

 private:
  std::vector<std::string> entries_;
  std::string data_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_BUILDER_H_
