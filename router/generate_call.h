// One Generate or GenerateStream call, from dispatch to its end.
#ifndef BLOCKSERVE_ROUTER_GENERATE_CALL_H_
#define BLOCKSERVE_ROUTER_GENERATE_CALL_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "blockserve/v1/generation.pb.h"
#include "router/admission.h"
#include "router/call_context.h"
#include "router/call_info.h"
#include "router/choice_decoder.h"
#include "router/request_parser.h"
#include "router/request_registry.h"
#include "router/routed_request.h"

namespace blockserve {

// Where a call's output goes. Called one at a time, with the call's lock held:
// must neither block nor call back.
class GenerateOutput {
 public:
  virtual ~GenerateOutput() = default;
  // New output of one choice, its end, or both.
  virtual void Append(int index, v1::GenerateStreamResponse delta) = 0;
  // The choice begins anew; only if buffers_all().
  virtual void Restart(int index) = 0;
  // The last call.
  virtual void Close(const std::optional<RpcError>& error,
                     const v1::Usage& usage) = 0;
  // Whether the client sees nothing before Close.
  virtual bool buffers_all() const = 0;
};

// Owns the request: its n sequences at the workers, its place in the admission
// and the registry. Ends exactly once, by the last sequence's end, the first
// error, or End; then its output is closed and the workers abort what is left.
// Thread-safe.
class GenerateCall : public ActiveRequest,
                     public RoutedRequestListener,
                     public std::enable_shared_from_this<GenerateCall> {
 public:
  GenerateCall(const CallContext& context, const CallInfo& info,
               const GenerateSpec& spec, const ServedModel& model,
               std::unique_ptr<Admission::Ticket> ticket,
               std::shared_ptr<GenerateOutput> output);

  // Dispatches all sequences; call once.
  void Start();

  void End(const RpcError& error) override;
  bool started() const override;
  // Ends the call for its client, who has gone or whose deadline has passed.
  void EndForClient();

  void OnRoutedEvent(int index, const worker::v1::RequestEvent& event) override;
  void OnRoutedRestart(int index) override;
  void OnRoutedError(int index, const RpcError& error) override;

 private:
  struct Choice {
    uint64_t seed = 0;
    std::shared_ptr<RoutedRequest> request;
    std::unique_ptr<ChoiceDecoder> decoder;
    bool done = false;
  };

  std::unique_ptr<ChoiceDecoder> NewDecoder() const;
  std::shared_ptr<RoutedRequest> NewRequest(int index, uint64_t seed);
  void NoteFirstToken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillEnd(const Choice& choice, const worker::v1::RequestEvent& event,
               v1::GenerateStreamResponse* delta)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Usage CurrentUsage() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(std::optional<RpcError> error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CallContext context_;
  const CallInfo info_;
  const GenerateSpec spec_;
  const ServedModel model_;
  const bool restart_after_tokens_;

  mutable absl::Mutex mutex_;
  std::unique_ptr<Admission::Ticket> ticket_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<GenerateOutput> output_ ABSL_GUARDED_BY(mutex_);
  std::vector<Choice> choices_ ABSL_GUARDED_BY(mutex_);
  int num_running_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time first_token_ ABSL_GUARDED_BY(mutex_);
  v1::FinishReason finish_reason_ ABSL_GUARDED_BY(mutex_) =
      v1::FINISH_REASON_UNSPECIFIED;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_GENERATE_CALL_H_
