// A checkpoint that is on no disk: every tensor of a configuration, made up as
// it is read. Speed does not depend on what the weights are.
#ifndef BLOCKSERVE_RUNTIME_BENCH_RANDOM_CHECKPOINT_H_
#define BLOCKSERVE_RUNTIME_BENCH_RANDOM_CHECKPOINT_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "runtime/config/model_config.h"
#include "runtime/weights/checkpoint.h"

namespace blockserve {

// Weights are uniform with a standard deviation of 0.02, as models begin their
// training with; norms are 1, biases 0. A value depends on seed, tensor and
// place alone, so that every rank of a group sees the same model.
//
// Names as in FORMAT.md section 4, for lookup embedders and GPT-NeoX trunks,
// which all published models of main configuration, MEGABYTE and vanilla are.
// UNIMPLEMENTED for another kind.
absl::StatusOr<std::unique_ptr<Checkpoint>> CreateRandomCheckpoint(
    const ModelConfig& config, uint64_t seed);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_RANDOM_CHECKPOINT_H_
