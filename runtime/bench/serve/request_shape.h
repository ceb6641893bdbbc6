// What the requests of a benchmark ask for.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_REQUEST_SHAPE_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_REQUEST_SHAPE_H_

#include <cstdint>

#include "blockserve/v1/generation.pb.h"

namespace blockserve {

struct RequestShape {
  int prompt_tokens = 128;
  int max_tokens = 128;
  uint64_t seed = 0;
};

// Request `index` of a benchmark: random ids in [0, vocab_size), none shared
// with another request but by chance; greedy, and exactly `max_tokens` long
// (the end-of-text token does not end it). Depends on its arguments only.
v1::GenerateStreamRequest MakeBenchRequest(const RequestShape& shape,
                                           int vocab_size, int index);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_REQUEST_SHAPE_H_
