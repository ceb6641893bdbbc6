// The stub as clients see a router: what is left of a latency without one.
#ifndef BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_INFERENCE_H_
#define BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_INFERENCE_H_

#include <grpcpp/grpcpp.h>

#include "blockserve/v1/generation.grpc.pb.h"
#include "tests/perf/stub_group/stub_worker.h"

namespace blockserve {

// Answers GenerateStream by itself, a message a block, at once or every
// step_time; knows GetModel besides and nothing else. A stream takes a thread.
// Thread-safe.
class StubInference : public v1::InferenceService::Service {
 public:
  explicit StubInference(const StubWorkerOptions& options)
      : options_(options) {}

  grpc::Status GenerateStream(
      grpc::ServerContext* context, const v1::GenerateStreamRequest* request,
      grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override;
  grpc::Status GetModel(grpc::ServerContext* context,
                        const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override;

 private:
  const StubWorkerOptions options_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_INFERENCE_H_
