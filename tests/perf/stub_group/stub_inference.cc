#include "tests/perf/stub_group/stub_inference.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {

grpc::Status StubInference::GenerateStream(
    grpc::ServerContext*, const v1::GenerateStreamRequest* request,
    grpc::ServerWriter<v1::GenerateStreamResponse>* writer) {
  const int max_tokens = request->sampling_params().max_tokens();
  v1::GenerateStreamResponse response;
  absl::Time next_step = MonotonicNow();
  for (int written = 0; written < max_tokens;) {
    const int count = std::min(options_.block_length, max_tokens - written);
    response.mutable_token_ids()->Resize(count, /*value=*/1);
    written += count;
    if (written == max_tokens) {
      response.set_finish_reason(v1::FINISH_REASON_LENGTH);
    }
    if (!writer->Write(response)) return grpc::Status::CANCELLED;
    if (options_.step_time > absl::ZeroDuration() && written < max_tokens) {
      next_step = std::max(next_step + options_.step_time, MonotonicNow());
      absl::SleepFor(next_step - MonotonicNow());
    }
  }
  return grpc::Status::OK;
}

grpc::Status StubInference::GetModel(grpc::ServerContext*,
                                     const v1::GetModelRequest*,
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
  return grpc::Status::OK;
}

}  // namespace blockserve
