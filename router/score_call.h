// One Score call, from dispatch to its end.
#ifndef BLOCKSERVE_ROUTER_SCORE_CALL_H_
#define BLOCKSERVE_ROUTER_SCORE_CALL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "blockserve/v1/generation.pb.h"
#include "router/admission.h"
#include "router/call_context.h"
#include "router/call_info.h"
#include "router/request_parser.h"
#include "router/request_registry.h"
#include "router/routed_request.h"

namespace blockserve {

// The call and its gRPC reactor in one: alive until gRPC's OnDone and for as
// long as a worker may call it. Thread-safe.
class ScoreCall : public grpc::ServerUnaryReactor,
                  public ActiveRequest,
                  public RoutedRequestListener,
                  public std::enable_shared_from_this<ScoreCall> {
 public:
  ScoreCall(const CallContext& context, const CallInfo& info,
            const ScoreSpec& spec, const ServedModel& model,
            std::unique_ptr<Admission::Ticket> ticket,
            grpc::CallbackServerContext* server_context,
            v1::ScoreResponse* response);

  // Dispatches; the call is to be returned from the service's method.
  void Start();

  void End(const RpcError& error) override;
  bool started() const override;

  void OnRoutedEvent(int index, const worker::v1::RequestEvent& event) override;
  void OnRoutedRestart(int index) override;
  void OnRoutedError(int index, const RpcError& error) override;

  void OnCancel() override;
  void OnDone() override;

 private:
  void AddLogprob(uint32_t token_id, const worker::v1::TokenLogprobs& logprobs)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(const std::optional<RpcError>& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CallContext context_;
  const CallInfo info_;
  const ScoreSpec spec_;
  const ServedModel model_;
  grpc::CallbackServerContext* const server_context_;
  std::shared_ptr<ScoreCall> self_;  // until OnDone

  mutable absl::Mutex mutex_;
  std::unique_ptr<Admission::Ticket> ticket_ ABSL_GUARDED_BY(mutex_);
  v1::ScoreResponse* const response_ ABSL_PT_GUARDED_BY(mutex_);
  std::shared_ptr<RoutedRequest> request_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SCORE_CALL_H_
