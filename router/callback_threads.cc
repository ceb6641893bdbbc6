#include "router/callback_threads.h"

#include <grpcpp/grpcpp.h>

#include "absl/synchronization/notification.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"

namespace blockserve {
namespace {

// A channel takes hold of the threads at its first callback call. One without
// credentials fails every call at once, without a network.
class Anchor : public grpc::ClientUnaryReactor {
 public:
  Anchor() {
    stub_->async()->GetIdentity(&context_, &request_, &response_, this);
    StartCall();
    done_.WaitForNotification();
  }

  void OnDone(const grpc::Status&) override { done_.Notify(); }

 private:
  const std::unique_ptr<worker::v1::WorkerService::Stub> stub_ =
      worker::v1::WorkerService::NewStub(grpc::CreateChannel("", nullptr));
  grpc::ClientContext context_;
  worker::v1::GetIdentityRequest request_;
  worker::v1::GetIdentityResponse response_;
  absl::Notification done_;
};

}  // namespace

void KeepCallbackThreads() {
  // Never freed; volatile, so that the pointer is kept and leak checkers see
  // it.
  [[maybe_unused]] static const Anchor* volatile anchor = new Anchor();
}

}  // namespace blockserve
