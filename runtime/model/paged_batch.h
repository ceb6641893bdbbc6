// The chunks of a step in the form that paged attention reads.
#ifndef BLOCKSERVE_RUNTIME_MODEL_PAGED_BATCH_H_
#define BLOCKSERVE_RUNTIME_MODEL_PAGED_BATCH_H_

#include "absl/types/span.h"
#include "runtime/layers/paged_layer_attention.h"
#include "runtime/layers/step_metadata.h"
#include "runtime/model/model.h"

namespace blockserve {

// Positions, cache slots and visible keys of each unit. A unit without tokens
// counts as a position but takes no slot, and no later unit sees it.
class PagedBatch {
 public:
  // Declares its arrays in `metadata`, which must outlive it. `window`: of
  // layers that see only that many positions; 0: none.
  PagedBatch(const ModelLimits& limits, int tokens_per_unit, int window,
             StepMetadata& metadata);

  // Fills the host's arrays; the chunks have been validated.
  void Fill(absl::Span<const SequenceChunk> chunks);

  int num_units() const { return num_units_; }
  int num_outputs() const { return num_outputs_; }
  // Views of the device's arrays, good after StepMetadata::Upload.
  PagedPass pass() const;

 private:
  using Array = StepMetadata::Array;

  // One set of rows: every unit, or those whose outputs are wanted.
  struct RowArrays {
    Array query_offsets;
    Array key_begin;
    Array window_key_begin;
    Array key_end;
  };

  RowArrays AddRowArrays(int max_rows);
  void FillUnits(const SequenceChunk& chunk);
  void FillWindow(const SequenceChunk& chunk, int first_unit);
  void FillOutputs(const SequenceChunk& chunk);
  PagedRows View(const RowArrays& arrays, int num_rows) const;

  const ModelLimits limits_;
  const int tokens_per_unit_;
  const int window_;
  const int max_pages_per_sequence_;
  StepMetadata& metadata_;
  Array positions_;
  Array slots_;
  Array page_table_;
  Array output_rows_;
  RowArrays units_;
  RowArrays outputs_;

  int num_sequences_ = 0;
  int num_units_ = 0;
  int num_outputs_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_PAGED_BATCH_H_
