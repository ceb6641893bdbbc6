#include "runtime/weights/fingerprint.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "runtime/base/json.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/weights/safetensors_file.h"

namespace blockserve {
namespace {

constexpr int64_t kSampleBytes = 4096;
constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxIndexBytes = 64 << 20;

class Hash {
 public:
  Hash() : state_(XXH3_createState()) { XXH3_128bits_reset(state_.get()); }

  void Add(absl::Span<const char> bytes) {
    XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  // So that no two lists of parts look alike.
  void AddSize(uint64_t size) {
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(size >> (8 * i));
    Add(bytes);
  }

  std::string Digest() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
    return absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(canonical.digest),
                          sizeof(canonical.digest)));
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

absl::Status AddConfig(const std::string& directory, Hash& hash) {
  auto config =
      ReadFile(absl::StrCat(directory, "/config.yaml"), kMaxConfigBytes);
  if (absl::IsNotFound(config.status())) {
    config = ReadFile(absl::StrCat(directory, "/config.json"), kMaxConfigBytes);
  }
  if (absl::IsNotFound(config.status())) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": no config.yaml or config.json"));
  }
  RETURN_IF_ERROR(config.status());
  hash.AddSize(config->size());
  hash.Add(*config);
  return absl::OkStatus();
}

// The files that the index names, in order of their names.
absl::StatusOr<std::set<std::string>> ShardNames(const std::string& index_path,
                                                 const std::string& text) {
  const auto index = ParseJson(text, index_path, /*max_depth=*/8);
  if (!index.ok()) return absl::DataLossError(index.status().message());
  const auto map =
      index->is_object() ? index->find("weight_map") : index->end();
  if (map == index->end() || !map->is_object()) {
    return absl::DataLossError(absl::StrCat(
        index_path, ": expected an object with the object weight_map"));
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() ||
        shard.get_ref<const std::string&>().find('/') != std::string::npos) {
      return absl::DataLossError(
          absl::StrCat(index_path, ": weight_map of ", absl::CEscape(tensor),
                       ": expected the name of a file in the directory"));
    }
    names.insert(shard.get<std::string>());
  }
  return names;
}

absl::StatusOr<std::vector<std::unique_ptr<SafetensorsFile>>> OpenFiles(
    const std::string& directory) {
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  auto single =
      SafetensorsFile::Open(absl::StrCat(directory, "/model.safetensors"));
  if (single.ok()) {
    files.push_back(*std::move(single));
    return files;
  }
  if (!absl::IsNotFound(single.status())) return single.status();
  const std::string index_path =
      absl::StrCat(directory, "/model.safetensors.index.json");
  const auto index = ReadFile(index_path, kMaxIndexBytes);
  if (absl::IsNotFound(index.status())) return single.status();
  RETURN_IF_ERROR(index.status());
  ASSIGN_OR_RETURN(const auto names, ShardNames(index_path, *index));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto file,
                     SafetensorsFile::Open(absl::StrCat(directory, "/", name)));
    files.push_back(std::move(file));
  }
  return files;
}

absl::Status AddBytes(const SafetensorsFile& file, int64_t begin, int64_t size,
                      std::vector<char>& buffer, Hash& hash) {
  buffer.resize(static_cast<size_t>(size));
  RETURN_IF_ERROR(file.ReadBytes(begin, absl::MakeSpan(buffer)));
  hash.Add(buffer);
  return absl::OkStatus();
}

absl::Status AddFile(const SafetensorsFile& file, Hash& hash) {
  std::vector<char> buffer(8);
  RETURN_IF_ERROR(file.ReadBytes(0, absl::MakeSpan(buffer)));
  int64_t header_bytes = 0;  // checked when the file was opened
  for (int i = 7; i >= 0; --i) {
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(buffer[i]);
  }
  RETURN_IF_ERROR(AddBytes(file, 0, 8 + header_bytes, buffer, hash));
  for (const auto& [name, entry] : file.header().tensors) {
    if (entry.num_bytes <= 3 * kSampleBytes) {
      RETURN_IF_ERROR(
          AddBytes(file, entry.begin, entry.num_bytes, buffer, hash));
      continue;
    }
    const int64_t last = entry.num_bytes - kSampleBytes;
    for (const int64_t offset : {int64_t{0}, last / 2, last}) {
      RETURN_IF_ERROR(
          AddBytes(file, entry.begin + offset, kSampleBytes, buffer, hash));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> FingerprintOf(const std::string& model_directory) {
  Hash hash;
  RETURN_IF_ERROR(AddConfig(model_directory, hash));
  ASSIGN_OR_RETURN(const auto files, OpenFiles(model_directory));
  for (const auto& file : files) RETURN_IF_ERROR(AddFile(*file, hash));
  return hash.Digest();
}

}  // namespace blockserve
