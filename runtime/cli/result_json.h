// Results of the public API as JSON with the proto's field names.
#ifndef BLOCKSERVE_RUNTIME_CLI_RESULT_JSON_H_
#define BLOCKSERVE_RUNTIME_CLI_RESULT_JSON_H_

#include <nlohmann/json.hpp>

#include "blockserve/v1/generation.pb.h"

namespace blockserve {

nlohmann::json ChoiceToJson(const v1::Choice& choice);
nlohmann::json LogprobToJson(const v1::TokenLogprob& logprob);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_RESULT_JSON_H_
