// blockserve.v1.InferenceService: checks, admits and starts calls.
#ifndef BLOCKSERVE_ROUTER_GENERATION_SERVICE_H_
#define BLOCKSERVE_ROUTER_GENERATION_SERVICE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "blockserve/v1/generation.grpc.pb.h"
#include "router/call_context.h"
#include "router/call_info.h"
#include "router/request_parser.h"

namespace blockserve {

struct GenerationServiceOptions {
  // Of any request, whatever deadline its client set.
  absl::Duration max_request_duration = absl::Seconds(600);
};

// Thread-safe. Everything of a call happens on gRPC's threads; none of it
// blocks.
class GenerationService final : public v1::InferenceService::CallbackService {
 public:
  GenerationService(const CallContext& context,
                    const GenerationServiceOptions& options)
      : context_(context), options_(options) {}

  // From now on new requests are refused with DRAINING.
  void StartDraining() { draining_ = true; }

  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* context,
                                     const v1::GenerateRequest* request,
                                     v1::GenerateResponse* response) override;
  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context,
      const v1::GenerateStreamRequest* request) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(
      grpc::CallbackServerContext* context,
      const v1::DetokenizeRequest* request,
      v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(
      grpc::CallbackServerContext* context,
      const v1::ListModelsRequest* request,
      v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const v1::AbortRequest* request,
                                  v1::AbortResponse* response) override;

 private:
  // What a request that may be dispatched has.
  struct Admitted {
    ServedModel model;
    std::unique_ptr<Admission::Ticket> ticket;
  };

  CallInfo Receive(grpc::CallbackServerContext* context, const char* method,
                   const std::string& request_id) const;
  ParserContext parser_context() const;
  // Fills `admitted`, or says why the request cannot be dispatched now.
  std::optional<RpcError> Admit(const CallInfo& info, int num_sequences,
                                size_t num_prompt_tokens,
                                const std::optional<ServedModel>& model,
                                Admitted* admitted);
  // Records a request that fails before it is dispatched.
  grpc::Status Refused(grpc::CallbackServerContext* context,
                       const CallInfo& info, const RpcError& error) const;
  // Answers a call that needs no worker.
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   const std::optional<RpcError>& error) const;

  const CallContext context_;
  const GenerationServiceOptions options_;
  std::atomic<bool> draining_ = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_GENERATION_SERVICE_H_
