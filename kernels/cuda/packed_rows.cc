#include "kernels/cuda/packed_rows.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace blockserve::cuda {
namespace {

static_assert(kMaxAlternatives == kMaxLogprobs);

struct Lengths {
  size_t history = 0;
  size_t bias = 0;
  size_t banned = 0;
};

Lengths LengthsOf(absl::Span<const SampleRow> rows) {
  Lengths lengths;
  for (const SampleRow& row : rows) {
    lengths.history += row.history.size();
    lengths.bias += row.bias_ids.size();
    lengths.banned += row.banned_ids.size();
  }
  return lengths;
}

DeviceSampleRow ToDevice(const SampleRow& row) {
  DeviceSampleRow device;
  device.seed = row.seed;
  device.position = row.position;
  device.temperature = row.temperature;
  device.top_k = row.top_k;
  device.top_p = row.top_p;
  device.min_p = row.min_p;
  device.repetition_penalty = row.repetition_penalty;
  device.frequency_penalty = row.frequency_penalty;
  device.presence_penalty = row.presence_penalty;
  device.num_logprobs = row.num_logprobs;
  device.num_forced = row.num_forced;
  device.ban_until_offset = row.ban_until_offset;
  return device;
}

// Fills the array at `target` with spans one after another.
template <typename T>
class Appender {
 public:
  explicit Appender(std::byte* target) : target_(target) {}

  // Where it begins and ends.
  void Append(absl::Span<const T> values, int32_t* begin, int32_t* end) {
    *begin = count_;
    if (!values.empty()) {
      std::memcpy(target_ + count_ * sizeof(T), values.data(),
                  values.size() * sizeof(T));
    }
    count_ += static_cast<int32_t>(values.size());
    *end = count_;
  }

 private:
  std::byte* target_;
  int32_t count_ = 0;
};

}  // namespace

void PackedRows::Pack(absl::Span<const SampleRow> rows) {
  const Lengths lengths = LengthsOf(rows);
  // Rows need 8 bytes of alignment, all others 4.
  SampleRowsHeader header;
  size_t end = sizeof(header) + rows.size() * sizeof(DeviceSampleRow);
  const auto place = [&](size_t num_bytes) {
    return static_cast<uint32_t>(std::exchange(end, end + num_bytes));
  };
  header.history = place(lengths.history * sizeof(DeviceTokenCount));
  header.bias_ids = place(lengths.bias * sizeof(int32_t));
  header.bias_values = place(lengths.bias * sizeof(float));
  header.banned_ids = place(lengths.banned * sizeof(int32_t));
  bytes_.resize(end);
  std::memcpy(bytes_.data(), &header, sizeof(header));

  Appender<DeviceTokenCount> history(bytes_.data() + header.history);
  Appender<int32_t> bias_ids(bytes_.data() + header.bias_ids);
  Appender<float> bias_values(bytes_.data() + header.bias_values);
  Appender<int32_t> banned_ids(bytes_.data() + header.banned_ids);
  std::vector<DeviceTokenCount> counts;
  for (size_t i = 0; i < rows.size(); ++i) {
    const SampleRow& row = rows[i];
    DeviceSampleRow device = ToDevice(row);
    counts.clear();
    for (const TokenCount& count : row.history) {
      counts.push_back({count.id, count.output_count, count.in_prompt ? 1 : 0});
    }
    history.Append(counts, &device.history_begin, &device.history_end);
    bias_ids.Append(row.bias_ids, &device.bias_begin, &device.bias_end);
    bias_values.Append(row.bias_values, &device.bias_begin, &device.bias_end);
    banned_ids.Append(row.banned_ids, &device.banned_begin, &device.banned_end);
    std::memcpy(bytes_.data() + sizeof(header) + i * sizeof(device), &device,
                sizeof(device));
  }
}

}  // namespace blockserve::cuda
