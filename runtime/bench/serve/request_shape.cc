#include "runtime/bench/serve/request_shape.h"

#include <random>

namespace blockserve {

v1::GenerateStreamRequest MakeBenchRequest(const RequestShape& shape,
                                           int vocab_size, int index) {
  v1::GenerateStreamRequest request;
  std::seed_seq seed = {static_cast<uint32_t>(shape.seed),
                        static_cast<uint32_t>(shape.seed >> 32),
                        static_cast<uint32_t>(index)};
  std::mt19937 random(seed);
  std::uniform_int_distribution<uint32_t> id(0, vocab_size - 1);
  auto* ids = request.mutable_input_ids()->mutable_ids();
  ids->Reserve(shape.prompt_tokens);
  for (int i = 0; i < shape.prompt_tokens; ++i) ids->Add(id(random));
  v1::SamplingParams* params = request.mutable_sampling_params();
  params->set_temperature(0);
  params->set_max_tokens(shape.max_tokens);
  params->set_ignore_eos(true);
  return request;
}

}  // namespace blockserve
