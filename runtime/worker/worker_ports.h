// What every rank listens on: gRPC with health, and metrics.
#ifndef BLOCKSERVE_RUNTIME_WORKER_WORKER_PORTS_H_
#define BLOCKSERVE_RUNTIME_WORKER_WORKER_PORTS_H_

#include <grpcpp/grpcpp.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/serving/grpc_server.h"
#include "runtime/serving/metrics_server.h"

namespace blockserve {

struct WorkerPortsOptions {
  std::string address;          // HOST:PORT of gRPC
  std::string metrics_address;  // HOST:PORT
  int max_message_bytes = 64 << 20;
  std::string worker_id;  // empty: HOSTNAME:PORT
};

struct WorkerPorts {
  std::string worker_id;
  std::unique_ptr<GrpcServer> grpc;
  std::unique_ptr<MetricsServer> metrics;

  // Errors as GrpcServer::Start and MetricsServer::Start. Logs "listening".
  static absl::StatusOr<WorkerPorts> Listen(
      const WorkerPortsOptions& options,
      const std::vector<grpc::Service*>& services,
      std::shared_ptr<prometheus::Registry> registry,
      std::function<void()> before_scrape);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_WORKER_PORTS_H_
