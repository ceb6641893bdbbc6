#include "tests/perf/stub_group/stub_inference.h"

#include <algorithm>
#include <memory>
#include <mutex>

namespace blockserve {
namespace {

// One GenerateStream call. Owned by gRPC, until OnDone, and by the stepper,
// until the last step.
class StubStream : public grpc::ServerWriteReactor<v1::GenerateStreamResponse>,
                   public SteppedStream {
 public:
  StubStream(const StubWorkerOptions& options, int max_tokens)
      : block_length_(options.block_length), num_left_(max_tokens) {}

  void Own(std::shared_ptr<StubStream> self) { self_ = std::move(self); }

  bool Step() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (broken_) return false;
    const int count = std::min(block_length_, num_left_);
    num_left_ -= count;
    num_pending_ += count;
    Write();
    return num_left_ > 0;
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    if (!ok) broken_ = true;
    Write();
  }
  void OnCancel() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    broken_ = true;
    Write();
  }
  void OnDone() override { const auto self = std::move(self_); }

 private:
  // Writes what is pending or, after the last, the status; under the lock.
  void Write() {
    if (writing_ || finished_) return;
    if (!broken_ && num_pending_ > 0) {
      response_.mutable_token_ids()->Resize(num_pending_, /*value=*/1);
      num_pending_ = 0;
      if (num_left_ == 0) {
        response_.set_finish_reason(v1::FINISH_REASON_LENGTH);
      }
      writing_ = true;
      StartWrite(&response_);
    } else if (broken_ || num_left_ == 0) {
      finished_ = true;
      Finish(broken_ ? grpc::Status::CANCELLED : grpc::Status::OK);
    }
  }

  const int block_length_;
  std::shared_ptr<StubStream> self_;
  v1::GenerateStreamResponse response_;  // being written
  std::mutex mutex_;
  int num_left_;  // tokens
  int num_pending_ = 0;
  bool writing_ = false;
  bool broken_ = false;
  bool finished_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::GenerateStreamResponse>*
StubInference::GenerateStream(grpc::CallbackServerContext*,
                              const v1::GenerateStreamRequest* request) {
  auto stream = std::make_shared<StubStream>(
      options_, request->sampling_params().max_tokens());
  StubStream* const raw = stream.get();
  raw->Own(stream);
  stepper_.Add(std::move(stream));
  return raw;
}

grpc::ServerUnaryReactor* StubInference::GetModel(
    grpc::CallbackServerContext* context, const v1::GetModelRequest*,
    v1::GetModelResponse* response) {
  v1::Model* model = response->mutable_model();
  model->set_name("stub");
  model->set_family("block_transformer");
  model->set_block_length(options_.block_length);
  model->set_vocab_size(options_.vocab_size);
  model->set_context_length(options_.context_length);
  model->set_dtype("none");
  model->set_backend("stub");
  model->set_worker_count(1);
  auto* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace blockserve
