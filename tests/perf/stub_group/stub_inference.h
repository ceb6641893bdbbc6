// The stub as clients see a router: what is left of a latency without one.
#ifndef BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_INFERENCE_H_
#define BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_INFERENCE_H_

#include <grpcpp/grpcpp.h>

#include "blockserve/v1/generation.grpc.pb.h"
#include "tests/perf/stub_group/stub_stepper.h"
#include "tests/perf/stub_group/stub_worker.h"

namespace blockserve {

// Answers GenerateStream by itself, at the same steps as StubWorker, and in the
// way of a router: callbacks, one write at a time, blocks that cannot be
// written yet go into one message. Knows GetModel besides and nothing else.
// Thread-safe.
class StubInference : public v1::InferenceService::CallbackService {
 public:
  explicit StubInference(const StubWorkerOptions& options)
      : options_(options), stepper_(options) {}

  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context,
      const v1::GenerateStreamRequest* request) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;

 private:
  const StubWorkerOptions options_;
  StubStepper stepper_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_INFERENCE_H_
