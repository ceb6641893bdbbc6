// The gRPC ends of Generate and GenerateStream: GenerateCall's outputs.
#ifndef BLOCKSERVE_ROUTER_GENERATE_REACTORS_H_
#define BLOCKSERVE_ROUTER_GENERATE_REACTORS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "blockserve/v1/generation.pb.h"
#include "router/generate_call.h"
#include "router/shared_work.h"

namespace blockserve {

// Gathers the choices and answers once. A reactor is referred to by its call,
// until Close, and by itself, until gRPC's OnDone: whichever is later.
class GenerateReactor : public grpc::ServerUnaryReactor, public GenerateOutput {
 public:
  GenerateReactor(grpc::CallbackServerContext* context,
                  v1::GenerateResponse* response, std::string request_id,
                  std::string model_name, int num_choices);

  // Hands the reactor over to gRPC: before `call` starts, and the reactor is
  // to be returned from the service's method.
  void Run(std::shared_ptr<GenerateReactor> self,
           std::shared_ptr<GenerateCall> call);

  void Append(int index, v1::GenerateStreamResponse delta) override;
  void Restart(int index) override;
  void Close(const std::optional<RpcError>& error,
             const v1::Usage& usage) override;
  bool buffers_all() const override { return true; }

  void OnCancel() override { call_->EndForClient(); }
  void OnDone() override;

 private:
  grpc::CallbackServerContext* const context_;
  v1::GenerateResponse* const response_;
  const std::string request_id_;
  std::shared_ptr<GenerateReactor> self_;
  std::shared_ptr<GenerateCall> call_;
};

// Streams the deltas. A client that reads slowly gets fewer and larger
// messages: while one is being written, what follows is merged per choice, so
// that at most one whole completion is buffered. Messages that the client did
// not wait for are dropped.
class GenerateStreamReactor
    : public grpc::ServerWriteReactor<v1::GenerateStreamResponse>,
      public GenerateOutput {
 public:
  GenerateStreamReactor(grpc::CallbackServerContext* context,
                        SharedWork* shared_work, std::string request_id,
                        int num_choices, int stream_interval);

  void Run(std::shared_ptr<GenerateStreamReactor> self,
           std::shared_ptr<GenerateCall> call);

  void Append(int index, v1::GenerateStreamResponse delta) override;
  void Restart(int index) override;
  void Close(const std::optional<RpcError>& error,
             const v1::Usage& usage) override;
  bool buffers_all() const override { return false; }

  void OnWriteDone(bool ok) override;
  void OnCancel() override { call_->EndForClient(); }
  void OnDone() override;

 private:
  struct Pending {
    v1::GenerateStreamResponse delta;
    bool any = false;
    bool sent_before = false;
  };

  bool MayBeSent(const Pending& pending) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishWrite(bool ok);
  // Writes the next message that is due or, after the last, the status.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropPending() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::CallbackServerContext* const context_;
  SharedWork* const shared_work_;
  const std::string request_id_;
  const int stream_interval_;
  std::shared_ptr<GenerateStreamReactor> self_;
  std::shared_ptr<GenerateCall> call_;

  absl::Mutex mutex_;
  std::vector<Pending> pending_ ABSL_GUARDED_BY(mutex_);
  size_t next_choice_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::GenerateStreamResponse message_;  // being written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<RpcError> error_ ABSL_GUARDED_BY(mutex_);
  v1::Usage usage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_GENERATE_REACTORS_H_
