// From a client's message to what a worker needs, with everything that is wrong
// found before anything is queued.
#ifndef BLOCKSERVE_ROUTER_REQUEST_PARSER_H_
#define BLOCKSERVE_ROUTER_REQUEST_PARSER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "blockserve/v1/generation.pb.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/random_source.h"
#include "router/rpc_error.h"
#include "router/served_model.h"
#include "runtime/text/text_stream.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {

// What requests are checked against.
struct ParserContext {
  // None: text is refused with FEATURE_DISABLED.
  const Tokenizer* tokenizer = nullptr;
  // None: no worker has answered yet, so names, ids and lengths pass; without a
  // worker the request goes nowhere.
  std::optional<ServedModel> model;
  RandomSource* random = nullptr;
};

struct GenerateSpec {
  std::vector<uint32_t> prompt_ids;
  // The seed is that of choice 0; see ChoiceSeed.
  worker::v1::TokenSamplingParams sampling;
  TextStreamOptions text;
  bool include_stop_token_text = false;
  int num_choices = 1;
  int stream_interval = 1;
};

struct ScoreSpec {
  std::vector<uint32_t> context_ids;
  std::vector<uint32_t> continuation_ids;
  int top_logprobs = 0;
};

// The seed of each choice; that of the first is the request's own, so that any
// choice can be had again alone.
uint64_t ChoiceSeed(uint64_t request_seed, int index);

// Each returns what is wrong or fills `spec`: NOT_FOUND MODEL_NOT_FOUND, else
// INVALID_ARGUMENT with all violations, else FAILED_PRECONDITION
// FEATURE_DISABLED, else INVALID_ARGUMENT CONTEXT_LENGTH_EXCEEDED.
std::optional<RpcError> ParseGenerate(const v1::GenerateRequest& request,
                                      const ParserContext& context,
                                      GenerateSpec* spec);
std::optional<RpcError> ParseGenerateStream(
    const v1::GenerateStreamRequest& request, const ParserContext& context,
    GenerateSpec* spec);
std::optional<RpcError> ParseScore(const v1::ScoreRequest& request,
                                   const ParserContext& context,
                                   ScoreSpec* spec);

// MODEL_NOT_FOUND if `name` is neither empty nor the model's.
std::optional<RpcError> CheckModelName(const std::string& name,
                                       const std::optional<ServedModel>& model);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_REQUEST_PARSER_H_
