#include "runtime/worker/worker_conversion.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace blockserve {
namespace {

std::vector<int32_t> ToIds(
    const google::protobuf::RepeatedField<uint32_t>& ids) {
  constexpr uint32_t kLargest = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> result;
  result.reserve(static_cast<size_t>(ids.size()));
  for (const uint32_t id : ids) {
    result.push_back(static_cast<int32_t>(std::min(id, kLargest)));
  }
  return result;
}

int32_t ToId(uint32_t id) {
  return static_cast<int32_t>(
      std::min<uint32_t>(id, std::numeric_limits<int32_t>::max()));
}

SamplingParams ToSamplingParams(const worker::v1::TokenSamplingParams& proto) {
  SamplingParams params;
  params.temperature = proto.temperature();
  params.top_p = proto.top_p();
  params.top_k = proto.top_k();
  params.min_p = proto.min_p();
  params.presence_penalty = proto.presence_penalty();
  params.frequency_penalty = proto.frequency_penalty();
  params.repetition_penalty = proto.repetition_penalty();
  params.max_tokens = proto.max_tokens();
  params.min_tokens = proto.min_tokens();
  params.stop_token_ids = ToIds(proto.stop_token_ids());
  params.ignore_eos = proto.ignore_eos();
  params.seed = proto.seed();
  params.logprobs = proto.logprobs();
  for (const auto& [id, bias] : proto.logit_bias()) {
    params.logit_bias.emplace_back(ToId(id), bias);
  }
  // A map has no order; a request has one meaning.
  std::sort(params.logit_bias.begin(), params.logit_bias.end());
  return params;
}

template <typename Command>
absl::Time DeadlineOf(const Command& command, absl::Time now) {
  return command.has_timeout() ? now + FromProto(command.timeout())
                               : absl::InfiniteFuture();
}

}  // namespace

GenerateRequest ToGenerateRequest(const worker::v1::GenerateCommand& command,
                                  std::string engine_id, absl::Time now) {
  GenerateRequest request;
  request.request_id = std::move(engine_id);
  request.prompt = ToIds(command.prompt_ids());
  request.resume_tokens = ToIds(command.resume_ids());
  request.sampling = ToSamplingParams(command.sampling_params());
  request.deadline = DeadlineOf(command, now);
  return request;
}

ScoreRequest ToScoreRequest(const worker::v1::ScoreCommand& command,
                            std::string engine_id, absl::Time now) {
  ScoreRequest request;
  request.request_id = std::move(engine_id);
  request.context = ToIds(command.context_ids());
  request.continuation = ToIds(command.continuation_ids());
  request.top_logprobs = command.top_logprobs();
  request.deadline = DeadlineOf(command, now);
  return request;
}

void AppendTokens(const TokenDelta& delta, worker::v1::RequestEvent& event) {
  for (const int32_t token : delta.tokens) {
    event.add_token_ids(static_cast<uint32_t>(token));
  }
  for (const TokenLogprobs& logprobs : delta.logprobs) {
    worker::v1::TokenLogprobs& proto = *event.add_logprobs();
    proto.set_logprob(logprobs.logprob);
    for (const auto& [id, logprob] : logprobs.top) {
      proto.add_top_ids(static_cast<uint32_t>(id));
      proto.add_top_logprobs(logprob);
    }
  }
}

void SetDone(const RequestResult& result, absl::string_view reason,
             worker::v1::Done& done) {
  done.set_code(static_cast<int>(result.status.code()));
  done.set_error_message(std::string(result.status.message()));
  done.set_error_reason(std::string(reason));
  done.set_stopped(result.finish_reason == FinishReason::kStop);
  if (result.matched_stop_token.has_value()) {
    done.set_matched_stop_token_id(
        static_cast<uint32_t>(*result.matched_stop_token));
  }
  done.set_prompt_tokens(result.prompt_tokens);
  done.set_completion_tokens(result.completion_tokens);
  SetDuration(result.timings.queue, *done.mutable_queue_time());
  SetDuration(result.timings.prefill, *done.mutable_prefill_time());
  SetDuration(result.timings.first_token, *done.mutable_first_token_time());
  SetDuration(result.timings.total, *done.mutable_total_time());
}

worker::v1::WatchLoadResponse ToLoad(const EngineLoad& load,
                                     worker::v1::WorkerState state) {
  worker::v1::WatchLoadResponse proto;
  proto.set_state(state);
  proto.set_running_count(load.num_running);
  proto.set_waiting_count(load.num_waiting);
  proto.set_waiting_prompt_tokens(load.waiting_prompt_tokens);
  proto.set_pages_used(load.pages_used);
  proto.set_pages_total(load.pages_total);
  proto.set_step_count(load.num_steps);
  return proto;
}

void SetDuration(absl::Duration duration, google::protobuf::Duration& proto) {
  absl::Duration rest;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

absl::Duration FromProto(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

}  // namespace blockserve
