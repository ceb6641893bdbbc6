// One GenerateStream call of a benchmark's client.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_TOKEN_STREAM_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_TOKEN_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <functional>

#include "absl/time/time.h"
#include "blockserve/v1/generation.grpc.pb.h"
#include "runtime/bench/serve/request_sample.h"

namespace blockserve {

// Notes when each message came and drops it. Deletes itself when the call is
// over. Driven by gRPC's callbacks only, one at a time.
class TokenStream : public grpc::ClientReadReactor<v1::GenerateStreamResponse> {
 public:
  // Called once, last, when the stream is gone; start_seconds is not set.
  using Callback = std::function<void(RequestSample)>;

  // Sends the request and returns at once. Times count from `start` (of
  // MonotonicNow), the deadline from now.
  static void Begin(v1::InferenceService::Stub& stub,
                    v1::GenerateStreamRequest request, absl::Time start,
                    absl::Duration timeout, Callback on_done);

 private:
  TokenStream(v1::GenerateStreamRequest request, absl::Time start,
              Callback on_done);

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const v1::GenerateStreamRequest request_;
  const absl::Time start_;
  Callback on_done_;
  grpc::ClientContext context_;
  v1::GenerateStreamResponse response_;
  RequestSample sample_;
  absl::Time last_chunk_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_TOKEN_STREAM_H_
