#include "router/generation_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "router/call_status.h"
#include "router/generate_call.h"
#include "router/generate_reactors.h"
#include "router/score_call.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

constexpr absl::Duration kRetryDelay = absl::Milliseconds(500);
constexpr int kMaxNamedIds = 16;

// A stream that fails before its first message.
class FailedStream
    : public grpc::ServerWriteReactor<v1::GenerateStreamResponse> {
 public:
  explicit FailedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

RpcError NoTokenizerError() {
  return FeatureDisabledError("this server has no tokenizer");
}

}  // namespace

CallInfo GenerationService::Receive(grpc::CallbackServerContext* context,
                                    const char* method,
                                    const std::string& request_id) const {
  context_.metrics->RequestReceived(method);
  return ReadCallInfo(context, request_id, options_.max_request_duration,
                      context_.random);
}

ParserContext GenerationService::parser_context() const {
  return {context_.tokenizer, context_.fleet->model(), context_.random};
}

std::optional<RpcError> GenerationService::Admit(
    const CallInfo& info, int num_sequences, size_t num_prompt_tokens,
    const std::optional<ServedModel>& model, Admitted* admitted) {
  if (draining_) return DrainingError();
  if (MonotonicNow() >= info.deadline) return TimeoutError(false);
  if (!model.has_value() || context_.fleet->num_healthy() == 0) {
    return NoHealthyWorkerError(kRetryDelay);
  }
  auto result = context_.admission->Admit(
      num_sequences, static_cast<int64_t>(num_prompt_tokens) * num_sequences);
  if (auto* error = std::get_if<RpcError>(&result)) return std::move(*error);
  admitted->model = *model;
  admitted->ticket =
      std::move(std::get<std::unique_ptr<Admission::Ticket>>(result));
  return std::nullopt;
}

grpc::Status GenerationService::Refused(grpc::CallbackServerContext* context,
                                        const CallInfo& info,
                                        const RpcError& error) const {
  context_.metrics->RequestEnded({.code = error.code,
                                  .reason = error.reason,
                                  .latency = MonotonicNow() - info.arrival});
  return FinalStatus(context, error, info.request_id);
}

grpc::ServerUnaryReactor* GenerationService::Generate(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request,
    v1::GenerateResponse* response) {
  const CallInfo info = Receive(context, "Generate", request->request_id());
  const ParserContext parser = parser_context();
  GenerateSpec spec;
  Admitted admitted;
  std::optional<RpcError> error = CheckRequestId(info.request_id);
  if (!error) error = ParseGenerate(*request, parser, &spec);
  if (!error) {
    error = Admit(info, spec.num_choices, spec.prompt_ids.size(), parser.model,
                  &admitted);
  }
  if (error) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(Refused(context, info, *error));
    return reactor;
  }
  auto reactor =
      std::make_shared<GenerateReactor>(context, response, info.request_id,
                                        admitted.model.name, spec.num_choices);
  auto call =
      std::make_shared<GenerateCall>(context_, info, spec, admitted.model,
                                     std::move(admitted.ticket), reactor);
  GenerateReactor* const raw = reactor.get();
  raw->Run(std::move(reactor), call);
  call->Start();
  return raw;
}

grpc::ServerWriteReactor<v1::GenerateStreamResponse>*
GenerationService::GenerateStream(grpc::CallbackServerContext* context,
                                  const v1::GenerateStreamRequest* request) {
  const CallInfo info =
      Receive(context, "GenerateStream", request->request_id());
  const ParserContext parser = parser_context();
  GenerateSpec spec;
  Admitted admitted;
  std::optional<RpcError> error = CheckRequestId(info.request_id);
  if (!error) error = ParseGenerateStream(*request, parser, &spec);
  if (!error) {
    error = Admit(info, spec.num_choices, spec.prompt_ids.size(), parser.model,
                  &admitted);
  }
  if (error) return new FailedStream(Refused(context, info, *error));
  auto reactor = std::make_shared<GenerateStreamReactor>(
      context, context_.shared_work, info.request_id, spec.num_choices,
      spec.stream_interval);
  auto call =
      std::make_shared<GenerateCall>(context_, info, spec, admitted.model,
                                     std::move(admitted.ticket), reactor);
  GenerateStreamReactor* const raw = reactor.get();
  raw->Run(std::move(reactor), call);
  call->Start();
  return raw;
}

grpc::ServerUnaryReactor* GenerationService::Score(
    grpc::CallbackServerContext* context, const v1::ScoreRequest* request,
    v1::ScoreResponse* response) {
  const CallInfo info = Receive(context, "Score", request->request_id());
  const ParserContext parser = parser_context();
  ScoreSpec spec;
  Admitted admitted;
  std::optional<RpcError> error = CheckRequestId(info.request_id);
  if (!error) error = ParseScore(*request, parser, &spec);
  if (!error) {
    error =
        Admit(info, 1, spec.context_ids.size() + spec.continuation_ids.size(),
              parser.model, &admitted);
  }
  if (error) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(Refused(context, info, *error));
    return reactor;
  }
  auto call = std::make_shared<ScoreCall>(context_, info, spec, admitted.model,
                                          std::move(admitted.ticket), context,
                                          response);
  call->Start();
  return call.get();
}

grpc::ServerUnaryReactor* GenerationService::Answer(
    grpc::CallbackServerContext* context,
    const std::optional<RpcError>& error) const {
  if (error) context_.metrics->Failed(error->reason);
  auto* reactor = context->DefaultReactor();
  reactor->Finish(FinalStatus(context, error, ""));
  return reactor;
}

grpc::ServerUnaryReactor* GenerationService::Tokenize(
    grpc::CallbackServerContext* context, const v1::TokenizeRequest* request,
    v1::TokenizeResponse* response) {
  Receive(context, "Tokenize", "");
  if (auto error = CheckModelName(request->model(), context_.fleet->model())) {
    return Answer(context, error);
  }
  if (context_.tokenizer == nullptr) return Answer(context, NoTokenizerError());
  const auto ids = context_.tokenizer->Encode(request->text());
  if (!ids.ok()) {
    return Answer(
        context,
        InvalidParameterError({{"text", std::string(ids.status().message())}}));
  }
  response->mutable_ids()->Add(ids->begin(), ids->end());
  return Answer(context, std::nullopt);
}

grpc::ServerUnaryReactor* GenerationService::Detokenize(
    grpc::CallbackServerContext* context, const v1::DetokenizeRequest* request,
    v1::DetokenizeResponse* response) {
  Receive(context, "Detokenize", "");
  if (auto error = CheckModelName(request->model(), context_.fleet->model())) {
    return Answer(context, error);
  }
  if (context_.tokenizer == nullptr) return Answer(context, NoTokenizerError());
  const auto limit = static_cast<uint32_t>(context_.tokenizer->vocab_size());
  std::vector<int32_t> ids;
  std::vector<FieldViolation> violations;
  for (int i = 0; i < request->ids_size(); ++i) {
    if (request->ids(i) < limit) {
      ids.push_back(static_cast<int32_t>(request->ids(i)));
    } else if (violations.size() < kMaxNamedIds) {
      violations.push_back(
          {absl::StrCat("ids[", i, "]"),
           absl::StrCat("must be in [0, ", limit, "), got ", request->ids(i))});
    }
  }
  if (!violations.empty()) {
    return Answer(context, InvalidParameterError(std::move(violations)));
  }
  const bool skip_special =
      !request->has_skip_special_tokens() || request->skip_special_tokens();
  const auto text = context_.tokenizer->Decode(ids, skip_special);
  if (!text.ok()) {
    return Answer(
        context,
        InvalidParameterError({{"ids", std::string(text.status().message())}}));
  }
  response->set_text(*text);
  return Answer(context, std::nullopt);
}

grpc::ServerUnaryReactor* GenerationService::GetModel(
    grpc::CallbackServerContext* context, const v1::GetModelRequest* request,
    v1::GetModelResponse* response) {
  Receive(context, "GetModel", "");
  const std::optional<ServedModel> model = context_.fleet->model();
  if (!model) return Answer(context, NoHealthyWorkerError(kRetryDelay));
  if (auto error = CheckModelName(request->name(), model)) {
    return Answer(context, error);
  }
  *response->mutable_model() = model->ToProto(context_.fleet->num_healthy());
  return Answer(context, std::nullopt);
}

grpc::ServerUnaryReactor* GenerationService::ListModels(
    grpc::CallbackServerContext* context, const v1::ListModelsRequest*,
    v1::ListModelsResponse* response) {
  Receive(context, "ListModels", "");
  if (const std::optional<ServedModel> model = context_.fleet->model()) {
    *response->add_models() = model->ToProto(context_.fleet->num_healthy());
  }
  return Answer(context, std::nullopt);
}

grpc::ServerUnaryReactor* GenerationService::Abort(
    grpc::CallbackServerContext* context, const v1::AbortRequest* request,
    v1::AbortResponse*) {
  context_.metrics->RequestReceived("Abort");
  if (request->request_id().empty()) {
    return Answer(context, InvalidParameterError(
                               {{"request_id", "must be given, got none"}}));
  }
  context_.registry->End(request->request_id(), AbortedError());
  return Answer(context, std::nullopt);
}

}  // namespace blockserve
