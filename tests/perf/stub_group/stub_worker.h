// A worker without a model: what a router can do when no engine bounds it.
#ifndef BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_WORKER_H_
#define BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_WORKER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"

namespace blockserve {

struct StubWorkerOptions {
  int block_length = 4;
  int vocab_size = 50304;
  int context_length = 1 << 20;
  // From one step to the next; 0: at once.
  absl::Duration step_time = absl::ZeroDuration();
};

// The time of the first step after `now`: all streams step together, when the
// monotonic clock is a multiple of step_time, so that a request waits equally
// long for its first step whichever way it came. `now` if step_time is 0.
absl::Time NextStep(const StubWorkerOptions& options, absl::Time now);

// Steps each Execute stream by itself: a step writes a block of every running
// request, all in one frame, as an engine's does. Knows neither stops nor
// log-probabilities nor score commands. Thread-safe.
class StubWorker : public worker::v1::WorkerService::Service {
 public:
  explicit StubWorker(const StubWorkerOptions& options) : options_(options) {}

  grpc::Status Execute(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<worker::v1::ExecuteResponse,
                               worker::v1::ExecuteRequest>* stream) override;
  grpc::Status WatchLoad(
      grpc::ServerContext* context, const worker::v1::WatchLoadRequest* request,
      grpc::ServerWriter<worker::v1::WatchLoadResponse>* writer) override;
  grpc::Status GetIdentity(grpc::ServerContext* context,
                           const worker::v1::GetIdentityRequest* request,
                           worker::v1::GetIdentityResponse* response) override;

 private:
  const StubWorkerOptions options_;
  std::atomic<uint64_t> num_steps_ = 0;
  std::atomic<int> num_running_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_WORKER_H_
