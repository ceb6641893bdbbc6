// A language model that advances many sequences at once, one step at a time.
#ifndef BLOCKSERVE_RUNTIME_MODEL_MODEL_H_
#define BLOCKSERVE_RUNTIME_MODEL_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/ops.h"
#include "kernels/api/sample_args.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/rank_group.h"
#include "runtime/config/model_config.h"

namespace blockserve {

class Checkpoint;

// A *unit* is what one entry of the paged KV cache stands for: a block of
// tokens_per_step() tokens in a Block Transformer, one token in a vanilla
// model. Token t of a sequence (prompt padding included) is in unit
// t / tokens_per_step().

// New units of one sequence, to be run through the cached trunk.
struct SequenceChunk {
  // [num_units * tokens_per_step] ids, whole units.
  absl::Span<const int32_t> tokens;
  // Same length, 0 = padding; empty: all are tokens. A unit without any token
  // is seen by nobody and takes no entry in the cache.
  absl::Span<const uint8_t> token_mask;
  // Pages of the sequence's cache, enough for cache_length + num_units.
  absl::Span<const int32_t> pages;
  int unit_begin = 0;    // position of the first unit
  int cache_length = 0;  // entries in the cache so far; == unit_begin unless
                         // units without tokens came before
  int num_outputs = 0;   // contexts are wanted after each of the last
                         // num_outputs units
};

// How the unit after one context is written. Rows belong to the outputs of the
// chunks, in order; their counts must agree.
struct DecodeRow {
  SampleRow sampling;
  // sampling.num_forced given tokens at the unit's first offsets (scoring, or
  // what was already sent), and which of them later offsets may see (0 =
  // hidden; empty: all).
  absl::Span<const int32_t> forced_tokens;
  absl::Span<const uint8_t> forced_mask;
};

struct StepInput {
  absl::Span<const SequenceChunk> chunks;
  absl::Span<const DecodeRow> rows;
  // The largest number of tokens any row needs, 1..tokens_per_step(): later
  // offsets are not computed.
  int num_tokens = 0;
};

// Views into the model's own memory, valid until the next Step.
struct StepOutput {
  absl::Span<const int32_t> tokens;      // [num_rows, tokens_per_step]
  absl::Span<const float> logprobs;      // [num_rows, tokens_per_step]
  absl::Span<const int32_t> top_ids;     // [num_rows, tokens_per_step,
  absl::Span<const float> top_logprobs;  //  kMaxLogprobs]
};

// What a model may be asked for at most; memory is allocated once from it.
struct ModelLimits {
  int max_units_per_step = 512;     // over all chunks
  int max_rows_per_step = 64;       // DecodeRows
  int max_sequences_per_step = 64;  // chunks
  int max_units_per_sequence = 512;
  int num_pages = 0;  // of the KV cache, kPageLength units each
};

// Where a prefix's positions lie (FORMAT.md 5.7).
enum class PrefixPositions { kForward, kReferenceGenerate };

// What a step is made of, in this order: the upload of its input, embedder (of
// a vanilla model the table of ids), the trunk with the paged cache, what
// follows its outputs (token decoder, head), the way back of the tokens.
enum class StepPart { kInput, kEmbedder, kCachedTrunk, kTokenDecoder, kOutput };
inline constexpr int kNumStepParts = 5;

struct ModelOptions {
  ModelLimits limits;
  PrefixPositions prefix_positions = PrefixPositions::kForward;
  // The group of ranks that hold the model together, each its part; must
  // outlive the model. Null: one rank alone.
  const RankGroup* group = nullptr;
  // Tests only: sees named intermediate tensors ("embedder.output",
  // "block_decoder.layer_input.0", ...; model/observed_tensors.md).
  std::function<void(std::string_view, const TensorView&)> observer;
  // Profiling only: told to which part the operations belong that follow.
  std::function<void(StepPart)> on_part;
};

struct PartSize {
  std::string name;  // "embedder", "block_decoder", ...
  int64_t num_parameters = 0;
  int64_t num_bytes = 0;  // as held in memory
};

// Owns weights, KV cache and scratch, in a group of ranks those of one rank.
// Used by one thread at a time; a step allocates nothing. After a Status that
// is not INVALID_ARGUMENT the model is unusable, unless a collective failed:
// then it may be used again with another communicator, the cache holding
// nothing.
class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const ModelLimits& limits() const = 0;
  int tokens_per_step() const { return config().tokens_per_step(); }

  // Runs the chunks through the embedder and the cached trunk, then writes the
  // unit after every requested output. All ranks of a group must take the same
  // steps; each returns all rows. INVALID_ARGUMENT if the input exceeds
  // the limits or an id is outside the vocabulary; nothing has changed then.
  virtual absl::StatusOr<StepOutput> Step(const StepInput& input) = 0;

  // For the start-up report.
  virtual std::vector<PartSize> parts() const = 0;
  virtual size_t kv_bytes_per_page() const = 0;  // over all layers
  virtual size_t scratch_bytes() const = 0;      // all else but weights
};

// What a rank that is no member of a group belongs to.
inline constexpr RankGroup kRankAlone;
inline const RankGroup& GroupOf(const ModelOptions& options) {
  return options.group == nullptr ? kRankAlone : *options.group;
}

// Loads the checkpoint in `directory` into `ops`, which must outlive the model.
// Errors as ReadModelConfig and Checkpoint, RESOURCE_EXHAUSTED without memory.
// `progress` (optional) gets (bytes read, bytes in all).
absl::StatusOr<std::unique_ptr<Model>> LoadModel(
    const std::string& directory, const ModelOptions& options, Ops& ops,
    std::function<void(int64_t, int64_t)> progress = nullptr);
// The same from a configuration and tensors that need not lie on a disk; the
// checkpoint is read while loading.
absl::StatusOr<std::unique_ptr<Model>> LoadModel(const ModelConfig& config,
                                                 Checkpoint& checkpoint,
                                                 const ModelOptions& options,
                                                 Ops& ops);

// KV bytes of one page on this rank, for sizing the pool before loading.
size_t KvBytesPerPage(const ModelConfig& config, const RankGroup& group,
                      const Ops& ops);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_MODEL_H_
