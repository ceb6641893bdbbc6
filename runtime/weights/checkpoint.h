// The tensors of a checkpoint directory, by name.
#ifndef BLOCKSERVE_RUNTIME_WEIGHTS_CHECKPOINT_H_
#define BLOCKSERVE_RUNTIME_WEIGHTS_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/dtype.h"

namespace blockserve {

// Half-open range of rows or columns of a matrix.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

struct TensorInfo {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
};

// Read-only: model.safetensors, or shards listed by
// model.safetensors.index.json. Reads convert fp32, fp16 or bf16 to fp32 and
// touch only what they need of the file; nothing is mapped, so that a file that
// is truncated meanwhile ends a read with DATA_LOSS, never with a signal. Every
// read is counted, so that after loading CheckAllRead can name what the model
// did not expect.
//
// Used by one thread while loading; the files are closed with it.
class Checkpoint {
 public:
  // NOT_FOUND without a weights file; DATA_LOSS for a file that is truncated
  // or whose header is malformed (expected, got, where).
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(
      const std::string& directory);

  virtual ~Checkpoint() = default;

  virtual bool Has(std::string_view name) const = 0;
  virtual std::vector<std::string> Names() const = 0;  // sorted
  // NOT_FOUND names the tensor and the directory.
  virtual absl::StatusOr<TensorInfo> Info(std::string_view name) const = 0;

  // Reads the whole tensor of exactly `shape` into `out` (product of shape).
  // NOT_FOUND, or DATA_LOSS for another shape or a NaN/infinite value.
  virtual absl::Status Read(std::string_view name,
                            absl::Span<const int64_t> shape,
                            absl::Span<float> out) = 0;
  // Reads rows x columns of the matrix [num_rows, num_columns] `name` (a
  // trailing extent of 1 is ignored), row-major, into `out`.
  virtual absl::Status ReadSlice(std::string_view name, int64_t num_rows,
                                 int64_t num_columns, Range rows, Range columns,
                                 absl::Span<float> out) = 0;

  // Marks a tensor as known and not needed (block_decoder...embed_in.weight).
  virtual void MarkUnused(std::string_view name) = 0;
  // INVALID_ARGUMENT naming tensors that were neither read, marked, nor
  // buffers other library versions store (FORMAT.md section 4).
  virtual absl::Status CheckAllRead() const = 0;

  virtual int64_t total_bytes() const = 0;  // of all tensor data
  virtual int64_t bytes_read() const = 0;
  // Called with (bytes_read, total_bytes) as reading goes on.
  virtual void SetProgress(std::function<void(int64_t, int64_t)> progress) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WEIGHTS_CHECKPOINT_H_
