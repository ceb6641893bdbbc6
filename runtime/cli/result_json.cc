#include "runtime/cli/result_json.h"

namespace blockserve {

nlohmann::json LogprobToJson(const v1::TokenLogprob& logprob) {
  nlohmann::json json = {{"token_id", logprob.token_id()},
                         {"logprob", logprob.logprob()},
                         {"token", logprob.token()},
                         {"top", nlohmann::json::array()}};
  for (const v1::TopLogprob& top : logprob.top()) {
    json["top"].push_back({{"token_id", top.token_id()},
                           {"logprob", top.logprob()},
                           {"token", top.token()}});
  }
  return json;
}

nlohmann::json ChoiceToJson(const v1::Choice& choice) {
  nlohmann::json json = {
      {"index", choice.index()},
      {"text", choice.text()},
      {"token_ids", choice.token_ids()},
      {"finish_reason",
       choice.finish_reason() == v1::FINISH_REASON_STOP ? "stop" : "length"},
      {"seed", choice.seed()}};
  if (choice.matched_stop().has_stop_string()) {
    json["matched_stop"] = choice.matched_stop().stop_string();
  } else if (choice.matched_stop().has_stop_token_id()) {
    json["matched_stop"] = choice.matched_stop().stop_token_id();
  }
  for (const v1::TokenLogprob& logprob : choice.logprobs()) {
    json["logprobs"].push_back(LogprobToJson(logprob));
  }
  return json;
}

}  // namespace blockserve
