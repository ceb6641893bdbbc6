// A request while the engine has it: its sequence, its sampling and its client.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_ACTIVE_REQUEST_H_
#define BLOCKSERVE_RUNTIME_ENGINE_ACTIVE_REQUEST_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/config/model_config.h"
#include "runtime/request/request.h"
#include "runtime/request/sequence.h"
#include "runtime/sampling/sampling_state.h"

namespace blockserve {

class ActiveRequest final : public Sequence {
 public:
  // The requests have passed CheckRequest.
  ActiveRequest(const ModelConfig& config, const GenerateRequest& request,
                std::shared_ptr<RequestSink> sink, absl::Time submit_time);
  ActiveRequest(const ModelConfig& config, const ScoreRequest& request,
                std::shared_ptr<RequestSink> sink, absl::Time submit_time);

  const std::string& request_id() const { return request_id_; }
  RequestSink& sink() { return *sink_; }
  SamplingState& sampling() { return sampling_; }
  const SamplingState& sampling() const { return sampling_; }
  // Alternatives to report per token; -1: no log-probabilities at all.
  int num_top_logprobs() const { return num_top_logprobs_; }

  RequestResult& result() { return result_; }

  // True, with the result filled in, if the resumed tokens are all there is.
  bool CompletesOnArrival();

  // The events of its life, in this order.
  void NotePrefilled(absl::Time now);
  void NoteTokens(int num_tokens, absl::Time now);
  // The completion met a stop token or its length.
  void Complete(FinishReason reason,
                std::optional<int32_t> stop_token = std::nullopt);
  void NoteEnd(const absl::Status& status, absl::Time now);

  // Where the engine keeps the request.
  size_t index = 0;

 private:
  const std::string request_id_;
  const std::shared_ptr<RequestSink> sink_;
  SamplingState sampling_;
  const int num_top_logprobs_;
  RequestResult result_;
  bool has_new_tokens_ = false;
};

// How `config`'s sequences are cut into units.
UnitLayout LayoutOf(const ModelConfig& config);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_ACTIVE_REQUEST_H_
