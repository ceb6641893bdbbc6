// The servers that a benchmark loads.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVER_POOL_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVER_POOL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "blockserve/v1/generation.grpc.pb.h"

namespace blockserve {

// A few connections to each server: a connection has one lock and one reader,
// and its streams share its flow control. Thread-safe.
class ServerPool {
 public:
  // Asks every server for its model. An error of the first that does not answer
  // within `timeout`, with its address; INVALID_ARGUMENT if their models differ
  // in more than the number of workers.
  static absl::StatusOr<ServerPool> Connect(
      absl::Span<const std::string> addresses, int channels_per_server,
      absl::Duration timeout);

  // The servers take turns, and each one's connections.
  v1::InferenceService::Stub& ForRequest(int index) const {
    return *stubs_[index % stubs_.size()];
  }
  // worker_count is that of all servers together.
  const v1::Model& model() const { return model_; }

 private:
  ServerPool() = default;

  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs_;
  v1::Model model_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_SERVER_POOL_H_
