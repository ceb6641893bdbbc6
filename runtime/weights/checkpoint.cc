#include "runtime/weights/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/json.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/weights/safetensors_file.h"

namespace blockserve {
namespace {

constexpr char kWeightsName[] = "model.safetensors";
constexpr char kIndexName[] = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = 64 << 20;
constexpr size_t kMaxShards = 1024;
constexpr int64_t kChunkElements = 1 << 18;
constexpr size_t kMaxNamesInError = 5;

// Constants that other versions of the library store beside the parameters.
constexpr const char* kBufferSuffixes[] = {".attention.bias",
                                           ".attention.masked_bias",
                                           ".position_ids",
                                           ".rotary_emb.inv_freq",
                                           ".token_type_ids",
                                           ".attn.attention.bias",
                                           ".attn.attention.masked_bias"};

bool IsBuffer(const std::string& name) {
  return std::any_of(
      std::begin(kBufferSuffixes), std::end(kBufferSuffixes),
      [&](const char* suffix) { return absl::EndsWith(name, suffix); });
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// The index of the first value that is NaN or infinite, or -1.
int64_t FindNonFinite(absl::Span<const float> values) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t any = 0;  // one bit over all: the loop vectorises
  for (const float value : values) {
    const uint32_t bits = std::bit_cast<uint32_t>(value) & kExponent;
    any |= static_cast<uint32_t>(bits == kExponent);
  }
  if (any == 0) return -1;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(values[i]) & kExponent;
    if (bits == kExponent) return static_cast<int64_t>(i);
  }
  return -1;
}

class SafetensorsCheckpoint : public Checkpoint {
 public:
  explicit SafetensorsCheckpoint(std::string directory)
      : directory_(std::move(directory)) {}

  absl::Status AddFile(std::unique_ptr<SafetensorsFile> file) {
    for (const auto& [name, entry] : file->header().tensors) {
      if (!tensors_.emplace(name, Tensor{file.get(), &entry}).second) {
        return absl::DataLossError(absl::StrCat(file->path(), ": tensor ",
                                                absl::CEscape(name),
                                                " is in another file too"));
      }
      total_bytes_ += entry.num_bytes;
    }
    files_.push_back(std::move(file));
    return absl::OkStatus();
  }

  const SafetensorsFile* FileOf(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second.file;
  }
  size_t num_tensors() const { return tensors_.size(); }

  bool Has(std::string_view name) const override {
    return tensors_.find(name) != tensors_.end();
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    return names;
  }

  absl::StatusOr<TensorInfo> Info(std::string_view name) const override {
    ASSIGN_OR_RETURN(const Tensor tensor, Find(name));
    TensorInfo info;
    ASSIGN_OR_RETURN(info.dtype, DTypeOf(name, tensor));
    info.shape = tensor.entry->shape;
    return info;
  }

  absl::Status Read(std::string_view name, absl::Span<const int64_t> shape,
                    absl::Span<float> out) override {
    ASSIGN_OR_RETURN(const Tensor tensor, Find(name));
    const SafetensorsEntry& entry = *tensor.entry;
    if (absl::MakeConstSpan(entry.shape) != shape ||
        entry.num_elements != static_cast<int64_t>(out.size())) {
      return WrongShape(name, tensor, ShapeText(shape));
    }
    return ReadElements(name, tensor, 0, out);
  }

  absl::Status ReadSlice(std::string_view name, int64_t num_rows,
                         int64_t num_columns, Range rows, Range columns,
                         absl::Span<float> out) override {
    ASSIGN_OR_RETURN(const Tensor tensor, Find(name));
    std::vector<int64_t> shape = tensor.entry->shape;
    if (shape.size() == 3 && shape.back() == 1) shape.pop_back();
    if (shape != std::vector<int64_t>{num_rows, num_columns}) {
      return WrongShape(name, tensor, ShapeText({num_rows, num_columns}));
    }
    if (rows.begin < 0 || rows.begin > rows.end || rows.end > num_rows ||
        columns.begin < 0 || columns.begin > columns.end ||
        columns.end > num_columns ||
        rows.size() * columns.size() != static_cast<int64_t>(out.size())) {
      return absl::InternalError(absl::StrCat("slice of ", std::string(name),
                                              " outside its shape ",
                                              ShapeText(shape)));
    }
    if (columns.size() == num_columns) {
      return ReadElements(name, tensor, rows.begin * num_columns, out);
    }
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const auto width = static_cast<size_t>(columns.size());
      RETURN_IF_ERROR(ReadElements(
          name, tensor, row * num_columns + columns.begin, out.first(width)));
      out.remove_prefix(width);
    }
    return absl::OkStatus();
  }

  void MarkUnused(std::string_view name) override {
    accounted_.insert(std::string(name));
  }

  absl::Status CheckAllRead() const override {
    std::vector<std::string> unread;
    for (const auto& [name, tensor] : tensors_) {
      if (accounted_.count(name) == 0 && !IsBuffer(name)) {
        unread.push_back(absl::CEscape(name));
      }
    }
    if (unread.empty()) return absl::OkStatus();
    const size_t count = unread.size();
    if (count > kMaxNamesInError) unread.resize(kMaxNamesInError);
    return absl::InvalidArgumentError(absl::StrCat(
        directory_, ": ", count, " tensors are not part of the model: ",
        absl::StrJoin(unread, ", "), count > unread.size() ? ", ..." : ""));
  }

  int64_t total_bytes() const override { return total_bytes_; }
  int64_t bytes_read() const override { return bytes_read_; }
  void SetProgress(std::function<void(int64_t, int64_t)> progress) override {
    progress_ = std::move(progress);
  }

 private:
  struct Tensor {
    const SafetensorsFile* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
  };

  absl::StatusOr<Tensor> Find(std::string_view name) const {
    const auto found = tensors_.find(name);
    if (found != tensors_.end()) return found->second;
    return absl::NotFoundError(absl::StrCat(directory_, ": tensor ",
                                            std::string(name), " is missing"));
  }

  static absl::Status WrongShape(std::string_view name, const Tensor& tensor,
                                 const std::string& expected) {
    return absl::DataLossError(
        absl::StrCat(tensor.file->path(), ": tensor ", std::string(name),
                     ": expected shape ", expected, ", got ",
                     ShapeText(tensor.entry->shape)));
  }

  static absl::StatusOr<DType> DTypeOf(std::string_view name,
                                       const Tensor& tensor) {
    switch (tensor.entry->type) {
      case SafetensorsType::kF32:
        return DType::kFloat32;
      case SafetensorsType::kBF16:
        return DType::kBFloat16;
      case SafetensorsType::kF16:
        return DType::kFloat16;
      default:
        return absl::DataLossError(
            absl::StrCat(tensor.file->path(), ": tensor ", std::string(name),
                         ": expected dtype F32, BF16 or F16"));
    }
  }

  // Elements from `begin` on, in file order, as floats.
  absl::Status ReadElements(std::string_view name, const Tensor& tensor,
                            int64_t begin, absl::Span<float> out) {
    ASSIGN_OR_RETURN(const DType dtype, DTypeOf(name, tensor));
    if (accounted_.find(name) == accounted_.end()) {
      accounted_.insert(std::string(name));
    }
    const auto element_size = static_cast<int64_t>(blockserve::SizeOf(dtype));
    while (!out.empty()) {
      const int64_t count =
          std::min<int64_t>(kChunkElements, static_cast<int64_t>(out.size()));
      const absl::Span<float> values = out.first(static_cast<size_t>(count));
      RETURN_IF_ERROR(ReadChunk(tensor, dtype, begin, values));
      if (const int64_t bad = FindNonFinite(values); bad >= 0) {
        return absl::DataLossError(
            absl::StrCat(tensor.file->path(), ": tensor ", std::string(name),
                         ": expected finite values, got ", values[bad],
                         " at element ", begin + bad));
      }
      bytes_read_ += count * element_size;
      if (progress_) progress_(bytes_read_, total_bytes_);
      begin += count;
      out.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }

  absl::Status ReadChunk(const Tensor& tensor, DType dtype, int64_t begin,
                         absl::Span<float> out) {
    const int64_t offset =
        tensor.entry->begin +
        begin * static_cast<int64_t>(blockserve::SizeOf(dtype));
    if (dtype == DType::kFloat32) {
      return tensor.file->ReadBytes(
          offset, absl::MakeSpan(reinterpret_cast<char*>(out.data()),
                                 out.size() * sizeof(float)));
    }
    halves_.resize(out.size());
    RETURN_IF_ERROR(tensor.file->ReadBytes(
        offset, absl::MakeSpan(reinterpret_cast<char*>(halves_.data()),
                               halves_.size() * sizeof(uint16_t))));
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = dtype == DType::kBFloat16 ? ToFloat(BFloat16{halves_[i]})
                                         : HalfBitsToFloat(halves_[i]);
    }
    return absl::OkStatus();
  }

  const std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::set<std::string, std::less<>> accounted_;  // read or marked
  std::vector<uint16_t> halves_;
  std::function<void(int64_t, int64_t)> progress_;
  int64_t total_bytes_ = 0;
  int64_t bytes_read_ = 0;
};

// A shard's name must be a plain file name, so that it stays in the directory.
bool IsFileName(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

absl::Status OpenShards(const std::string& directory,
                        const std::string& index_path,
                        const std::string& index_text,
                        SafetensorsCheckpoint& checkpoint) {
  auto index = ParseJson(index_text, index_path, /*max_depth=*/8);
  if (!index.ok()) return absl::DataLossError(index.status().message());
  const auto map =
      index->is_object() ? index->find("weight_map") : index->end();
  if (map == index->end() || !map->is_object() || map->empty()) {
    return absl::DataLossError(absl::StrCat(
        index_path, ": expected an object with the object weight_map"));
  }
  std::map<std::string, std::string> shard_of;
  std::set<std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string() ||
        !IsFileName(shard.get_ref<const std::string&>())) {
      return absl::DataLossError(
          absl::StrCat(index_path, ": weight_map of ", absl::CEscape(name),
                       ": expected the name of a file in the directory"));
    }
    shard_of[name] = shard.get<std::string>();
    shards.insert(shard_of[name]);
  }
  if (shards.size() > kMaxShards) {
    return absl::DataLossError(absl::StrCat(index_path, ": expected at most ",
                                            kMaxShards, " files, got ",
                                            shards.size()));
  }
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(
        auto file, SafetensorsFile::Open(absl::StrCat(directory, "/", shard)));
    RETURN_IF_ERROR(checkpoint.AddFile(std::move(file)));
  }
  for (const auto& [name, shard] : shard_of) {
    const SafetensorsFile* file = checkpoint.FileOf(name);
    if (file == nullptr ||
        file->path() != absl::StrCat(directory, "/", shard)) {
      return absl::DataLossError(absl::StrCat(
          index_path, ": tensor ", absl::CEscape(name), " is not in ", shard));
    }
  }
  if (checkpoint.num_tensors() != shard_of.size()) {
    return absl::DataLossError(
        absl::StrCat(index_path, ": expected ", shard_of.size(),
                     " tensors in its files, got ", checkpoint.num_tensors()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(
    const std::string& directory) {
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>(directory);
  auto file = SafetensorsFile::Open(absl::StrCat(directory, "/", kWeightsName));
  if (file.ok()) {
    RETURN_IF_ERROR(checkpoint->AddFile(*std::move(file)));
    return checkpoint;
  }
  if (!absl::IsNotFound(file.status())) return file.status();
  const std::string index_path = absl::StrCat(directory, "/", kIndexName);
  const auto index_text = ReadFile(index_path, kMaxIndexBytes);
  if (absl::IsNotFound(index_text.status())) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": no ", kWeightsName, " or ", kIndexName));
  }
  RETURN_IF_ERROR(index_text.status());
  RETURN_IF_ERROR(OpenShards(directory, index_path, *index_text, *checkpoint));
  return checkpoint;
}

}  // namespace blockserve
