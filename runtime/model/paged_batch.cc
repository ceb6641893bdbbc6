#include "runtime/model/paged_batch.h"

#include <algorithm>

namespace blockserve {
namespace {

// True if unit `i` of the chunk has a token.
bool HasToken(const SequenceChunk& chunk, int i, int tokens_per_unit) {
  if (chunk.token_mask.empty()) return true;
  const absl::Span<const uint8_t> mask =
      chunk.token_mask.subspan(i * tokens_per_unit, tokens_per_unit);
  return std::any_of(mask.begin(), mask.end(),
                     [](uint8_t value) { return value != 0; });
}

}  // namespace

PagedBatch::PagedBatch(const ModelLimits& limits, int tokens_per_unit,
                       int window, StepMetadata& metadata)
    : limits_(limits),
      tokens_per_unit_(tokens_per_unit),
      window_(window),
      max_pages_per_sequence_(
          (limits.max_units_per_sequence + kPageLength - 1) / kPageLength),
      metadata_(metadata),
      positions_(metadata.AddInt32(limits.max_units_per_step)),
      slots_(metadata.AddInt32(limits.max_units_per_step)),
      page_table_(metadata.AddInt32(int64_t{limits.max_sequences_per_step} *
                                    max_pages_per_sequence_)),
      output_rows_(metadata.AddInt32(limits.max_rows_per_step)),
      units_(AddRowArrays(limits.max_units_per_step)),
      outputs_(AddRowArrays(limits.max_rows_per_step)) {}

PagedBatch::RowArrays PagedBatch::AddRowArrays(int max_rows) {
  return {
      .query_offsets = metadata_.AddInt32(limits_.max_sequences_per_step + 1),
      .key_begin = metadata_.AddInt32(max_rows),
      .window_key_begin = metadata_.AddInt32(max_rows),
      .key_end = metadata_.AddInt32(max_rows)};
}

void PagedBatch::Fill(absl::Span<const SequenceChunk> chunks) {
  num_sequences_ = 0;
  num_units_ = 0;
  num_outputs_ = 0;
  for (const SequenceChunk& chunk : chunks) {
    const int first_unit = num_units_;
    FillUnits(chunk);
    if (window_ > 0) FillWindow(chunk, first_unit);
    FillOutputs(chunk);
    ++num_sequences_;
    metadata_.Int32(units_.query_offsets)[num_sequences_] = num_units_;
    metadata_.Int32(outputs_.query_offsets)[num_sequences_] = num_outputs_;
  }
}

void PagedBatch::FillUnits(const SequenceChunk& chunk) {
  const absl::Span<int32_t> positions = metadata_.Int32(positions_);
  const absl::Span<int32_t> slots = metadata_.Int32(slots_);
  const absl::Span<int32_t> key_end = metadata_.Int32(units_.key_end);
  const int num_units =
      static_cast<int>(chunk.tokens.size()) / tokens_per_unit_;
  int cache_length = chunk.cache_length;
  for (int i = 0; i < num_units; ++i, ++num_units_) {
    positions[num_units_] = chunk.unit_begin + i;
    if (HasToken(chunk, i, tokens_per_unit_)) {
      slots[num_units_] =
          chunk.pages[cache_length / kPageLength] * kPageLength +
          cache_length % kPageLength;
      ++cache_length;
    } else {
      slots[num_units_] = -1;
    }
    key_end[num_units_] = cache_length;
  }
  const int num_pages = (cache_length + kPageLength - 1) / kPageLength;
  std::copy_n(chunk.pages.begin(), num_pages,
              metadata_.Int32(page_table_).begin() +
                  int64_t{num_sequences_} * max_pages_per_sequence_);
}

// A window is a distance of positions, keys are numbered by cache entries.
// Those differ by the units without tokens: of this chunk we know them, the
// ones before it are taken to precede all cached units, as the left padding of
// a prompt does.
void PagedBatch::FillWindow(const SequenceChunk& chunk, int first_unit) {
  const absl::Span<const int32_t> key_end = metadata_.Int32(units_.key_end);
  const absl::Span<int32_t> key_begin =
      metadata_.Int32(units_.window_key_begin);
  const int num_skipped = chunk.unit_begin - chunk.cache_length;
  for (int unit = first_unit; unit < num_units_; ++unit) {
    const int index = unit - first_unit;
    // Units of the chunk that lie before the first visible position.
    const int num_hidden = index - window_ + 1;
    key_begin[unit] =
        num_hidden > 0 ? key_end[first_unit + num_hidden - 1]
                       : std::clamp(chunk.unit_begin + num_hidden - num_skipped,
                                    0, chunk.cache_length);
  }
}

void PagedBatch::FillOutputs(const SequenceChunk& chunk) {
  for (int unit = num_units_ - chunk.num_outputs; unit < num_units_; ++unit) {
    metadata_.Int32(output_rows_)[num_outputs_] = unit;
    metadata_.Int32(outputs_.key_end)[num_outputs_] =
        metadata_.Int32(units_.key_end)[unit];
    metadata_.Int32(outputs_.window_key_begin)[num_outputs_] =
        metadata_.Int32(units_.window_key_begin)[unit];
    ++num_outputs_;
  }
}

PagedRows PagedBatch::View(const RowArrays& arrays, int num_rows) const {
  return {.query_offsets =
              metadata_.DeviceInt32(arrays.query_offsets, {num_sequences_ + 1}),
          .key_begin = metadata_.DeviceInt32(arrays.key_begin, {num_rows}),
          .window_key_begin =
              metadata_.DeviceInt32(arrays.window_key_begin, {num_rows}),
          .key_end = metadata_.DeviceInt32(arrays.key_end, {num_rows})};
}

PagedPass PagedBatch::pass() const {
  return {.positions = metadata_.DeviceInt32(positions_, {num_units_}),
          .slots = metadata_.DeviceInt32(slots_, {num_units_}),
          .page_table = metadata_.DeviceInt32(
              page_table_, {num_sequences_, max_pages_per_sequence_}),
          .rows = View(units_, num_units_),
          .output_rows = metadata_.DeviceInt32(output_rows_, {num_outputs_}),
          .outputs = View(outputs_, num_outputs_)};
}

}  // namespace blockserve
