#include "kernels/cuda/packed_rows.h"

#include <cstdint>
#include <cstring>

namespace blockserve::cuda {
namespace {

static_assert(kMaxAlternatives == kMaxLogprobs);

struct Lengths {
  size_t history = 0;
  size_t bias = 0;
  size_t banned = 0;
};

bool IsBanActive(const SampleRow& row, int offset) {
  return offset < row.ban_until_offset;
}

Lengths LengthsOf(absl::Span<const SampleRow> rows, int offset) {
  Lengths lengths;
  for (const SampleRow& row : rows) {
    lengths.history += row.history.size();
    lengths.bias += row.bias_ids.size();
    if (IsBanActive(row, offset)) lengths.banned += row.banned_ids.size();
  }
  return lengths;
}

DeviceSampleRow ToDevice(const SampleRow& row, int offset) {
  DeviceSampleRow device;
  device.seed = row.seed;
  device.position = row.position + static_cast<uint64_t>(offset);
  device.temperature = row.temperature;
  device.top_k = row.top_k;
  device.top_p = row.top_p;
  device.min_p = row.min_p;
  device.repetition_penalty = row.repetition_penalty;
  device.frequency_penalty = row.frequency_penalty;
  device.presence_penalty = row.presence_penalty;
  device.num_logprobs = row.num_logprobs;
  device.is_forced = offset < row.num_forced ? 1 : 0;
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

void PackedRows::Pack(absl::Span<const SampleRow> rows, int offset) {
  const Lengths lengths = LengthsOf(rows, offset);
  // Rows need 8 bytes of alignment, all others 4.
  history_ = rows.size() * sizeof(DeviceSampleRow);
  bias_ids_ = history_ + lengths.history * sizeof(DeviceTokenCount);
  bias_values_ = bias_ids_ + lengths.bias * sizeof(int32_t);
  banned_ids_ = bias_values_ + lengths.bias * sizeof(float);
  bytes_.resize(banned_ids_ + lengths.banned * sizeof(int32_t));

  Appender<DeviceTokenCount> history(bytes_.data() + history_);
  Appender<int32_t> bias_ids(bytes_.data() + bias_ids_);
  Appender<float> bias_values(bytes_.data() + bias_values_);
  Appender<int32_t> banned_ids(bytes_.data() + banned_ids_);
  std::vector<DeviceTokenCount> counts;
  for (size_t i = 0; i < rows.size(); ++i) {
    const SampleRow& row = rows[i];
    DeviceSampleRow device = ToDevice(row, offset);
    counts.clear();
    for (const TokenCount& count : row.history) {
      counts.push_back({count.id, count.output_count, count.in_prompt ? 1 : 0});
    }
    history.Append(counts, &device.history_begin, &device.history_end);
    bias_ids.Append(row.bias_ids, &device.bias_begin, &device.bias_end);
    bias_values.Append(row.bias_values, &device.bias_begin, &device.bias_end);
    if (IsBanActive(row, offset)) {
      banned_ids.Append(row.banned_ids, &device.banned_begin,
                        &device.banned_end);
    }
    std::memcpy(bytes_.data() + i * sizeof(device), &device, sizeof(device));
  }
}

void PackedRows::PointTo(const void* device, SampleProblem& problem) const {
  const auto* const begin = static_cast<const std::byte*>(device);
  problem.rows = reinterpret_cast<const DeviceSampleRow*>(begin);
  problem.history = reinterpret_cast<const DeviceTokenCount*>(begin + history_);
  problem.bias_ids = reinterpret_cast<const int32_t*>(begin + bias_ids_);
  problem.bias_values = reinterpret_cast<const float*>(begin + bias_values_);
  problem.banned_ids = reinterpret_cast<const int32_t*>(begin + banned_ids_);
}

}  // namespace blockserve::cuda
