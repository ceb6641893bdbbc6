#include "runtime/group/step_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/api/ops.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

static_assert(std::endian::native == std::endian::little,
              "frames are little-endian");

class Writer {
 public:
  explicit Writer(std::vector<uint8_t>& frame) : frame_(frame) {
    frame_.clear();
  }

  template <typename T>
  void Put(T value) {
    Append(&value, sizeof(value));
  }
  template <typename T>
  void PutList(absl::Span<const T> values) {
    Put(static_cast<int32_t>(values.size()));
    Append(values.data(), values.size() * sizeof(T));
  }
  void PutList(absl::Span<const TokenCount> counts) {
    Put(static_cast<int32_t>(counts.size()));
    for (const TokenCount& count : counts) {
      Put(count.id);
      Put(count.output_count);
      Put(static_cast<uint8_t>(count.in_prompt));
    }
  }

 private:
  void Append(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    frame_.insert(frame_.end(), bytes, bytes + size);
  }

  std::vector<uint8_t>& frame_;
};

// The scalars of a row in the order of the wire: one place for both ways.
template <typename Row, typename Visitor>
void VisitScalars(Row& row, const Visitor& visit) {
  visit(row.temperature);
  visit(row.top_k);
  visit(row.top_p);
  visit(row.min_p);
  visit(row.repetition_penalty);
  visit(row.frequency_penalty);
  visit(row.presence_penalty);
  visit(row.seed);
  visit(row.position);
  visit(row.num_forced);
  visit(row.num_logprobs);
  visit(row.ban_until_offset);
}

void PutChunk(const SequenceChunk& chunk, int tokens_per_step, Writer& writer) {
  const auto num_units =
      static_cast<int>(chunk.tokens.size()) / tokens_per_step;
  const auto num_pages = static_cast<size_t>(
      (chunk.cache_length + num_units + kPageLength - 1) / kPageLength);
  writer.PutList(chunk.tokens);
  writer.PutList(chunk.token_mask);
  writer.PutList(chunk.pages.first(std::min(num_pages, chunk.pages.size())));
  writer.Put(int32_t{chunk.unit_begin});
  writer.Put(int32_t{chunk.cache_length});
  writer.Put(int32_t{chunk.num_outputs});
}

void PutRow(const DecodeRow& row, Writer& writer) {
  VisitScalars(row.sampling, [&](auto value) { writer.Put(value); });
  writer.PutList(row.sampling.banned_ids);
  writer.PutList(row.sampling.bias_ids);
  writer.PutList(row.sampling.bias_values);
  writer.PutList(row.sampling.history);
  writer.PutList(row.forced_tokens);
  writer.PutList(row.forced_mask);
}

// Remembers the first failure; what is read after it is zero and empty.
class Reader {
 public:
  explicit Reader(std::string_view frame) : frame_(frame) {}

  template <typename T>
  void Get(T& value) {
    value = T{};
    if (Has(sizeof(T))) Take(&value, sizeof(T));
  }
  // Bytes of an element on the wire, at least: what a length is checked with.
  size_t GetLength(size_t element_size) {
    int32_t length = 0;
    Get(length);
    if (length < 0) {
      Fail(absl::StrCat("a length, got ", length));
      return 0;
    }
    const auto count = static_cast<size_t>(length);
    return Has(count * element_size) ? count : 0;
  }
  template <typename T>
  size_t GetList(std::vector<T>& values) {
    const size_t count = GetLength(sizeof(T));
    const size_t begin = values.size();
    values.resize(begin + count);
    Take(values.data() + begin, count * sizeof(T));
    return count;
  }
  size_t GetCounts(std::vector<TokenCount>& counts) {
    const size_t count = GetLength(9);
    for (size_t i = 0; i < count; ++i) {
      TokenCount token;
      uint8_t in_prompt = 0;
      Get(token.id);
      Get(token.output_count);
      Get(in_prompt);
      token.in_prompt = in_prompt != 0;
      counts.push_back(token);
    }
    return count;
  }

  absl::Status Finish() {
    if (status_.ok() && position_ != frame_.size()) {
      Fail(absl::StrCat("the end of ", frame_.size(), " bytes"));
    }
    return status_;
  }

 private:
  bool Has(size_t size) {
    if (!status_.ok()) return false;
    if (size <= frame_.size() - position_) return true;
    Fail(absl::StrCat(size, " more bytes, got ", frame_.size() - position_));
    return false;
  }
  void Take(void* data, size_t size) {
    if (size == 0) return;
    std::memcpy(data, frame_.data() + position_, size);
    position_ += size;
  }
  void Fail(const std::string& expected) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        absl::StrCat("step frame, byte ", position_, ": expected ", expected));
  }

  const std::string_view frame_;
  size_t position_ = 0;
  absl::Status status_;
};

// Hands out the elements of a vector, list by list.
template <typename T>
class Lists {
 public:
  explicit Lists(const std::vector<T>& values) : rest_(values) {}

  absl::Span<const T> Next(size_t length) {
    const absl::Span<const T> list = rest_.first(length);
    rest_.remove_prefix(length);
    return list;
  }

 private:
  absl::Span<const T> rest_;
};

// What the smallest chunk and row take on the wire.
constexpr size_t kMinChunkBytes = 6 * sizeof(int32_t);
constexpr size_t kMinRowBytes = 18 * sizeof(int32_t);

}  // namespace

void EncodeStep(const StepInput& input, int tokens_per_step,
                std::vector<uint8_t>& frame) {
  Writer writer(frame);
  writer.Put(int32_t{input.num_tokens});
  writer.Put(static_cast<int32_t>(input.chunks.size()));
  for (const SequenceChunk& chunk : input.chunks) {
    PutChunk(chunk, tokens_per_step, writer);
  }
  writer.Put(static_cast<int32_t>(input.rows.size()));
  for (const DecodeRow& row : input.rows) PutRow(row, writer);
}

absl::StatusOr<StepInput> StepDecoder::Decode(std::string_view frame) {
  chunks_.clear();
  rows_.clear();
  ints_.clear();
  floats_.clear();
  bytes_.clear();
  counts_.clear();
  lengths_.clear();

  Reader reader(frame);
  StepInput input;
  reader.Get(input.num_tokens);
  chunks_.resize(reader.GetLength(kMinChunkBytes));
  for (SequenceChunk& chunk : chunks_) {
    lengths_.push_back(reader.GetList(ints_));
    lengths_.push_back(reader.GetList(bytes_));
    lengths_.push_back(reader.GetList(ints_));
    reader.Get(chunk.unit_begin);
    reader.Get(chunk.cache_length);
    reader.Get(chunk.num_outputs);
  }
  rows_.resize(reader.GetLength(kMinRowBytes));
  for (DecodeRow& row : rows_) {
    VisitScalars(row.sampling, [&](auto& value) { reader.Get(value); });
    lengths_.push_back(reader.GetList(ints_));
    lengths_.push_back(reader.GetList(ints_));
    lengths_.push_back(reader.GetList(floats_));
    lengths_.push_back(reader.GetCounts(counts_));
    lengths_.push_back(reader.GetList(ints_));
    lengths_.push_back(reader.GetList(bytes_));
  }
  RETURN_IF_ERROR(reader.Finish());

  Lists<int32_t> ints(ints_);
  Lists<float> floats(floats_);
  Lists<uint8_t> bytes(bytes_);
  Lists<TokenCount> counts(counts_);
  auto length = lengths_.begin();
  for (SequenceChunk& chunk : chunks_) {
    chunk.tokens = ints.Next(*length++);
    chunk.token_mask = bytes.Next(*length++);
    chunk.pages = ints.Next(*length++);
  }
  for (DecodeRow& row : rows_) {
    row.sampling.banned_ids = ints.Next(*length++);
    row.sampling.bias_ids = ints.Next(*length++);
    row.sampling.bias_values = floats.Next(*length++);
    row.sampling.history = counts.Next(*length++);
    row.forced_tokens = ints.Next(*length++);
    row.forced_mask = bytes.Next(*length++);
  }
  input.chunks = chunks_;
  input.rows = rows_;
  return input;
}

}  // namespace blockserve
