#include "runtime/worker/worker_ports.h"

#include <glog/logging.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/log_line.h"

namespace blockserve {
namespace {

std::string HostName() {
  char name[256] = "localhost";
  gethostname(name, sizeof(name) - 1);
  return name;
}

}  // namespace

absl::StatusOr<WorkerPorts> WorkerPorts::Listen(
    const WorkerPortsOptions& options,
    const std::vector<grpc::Service*>& services,
    std::shared_ptr<prometheus::Registry> registry,
    std::function<void()> before_scrape) {
  WorkerPorts ports;
  ASSIGN_OR_RETURN(
      ports.grpc,
      GrpcServer::Start({.address = options.address,
                         .max_message_bytes = options.max_message_bytes},
                        services));
  ASSIGN_OR_RETURN(
      ports.metrics,
      MetricsServer::Start(options.metrics_address, std::move(registry),
                           std::move(before_scrape)));
  ports.worker_id = options.worker_id.empty()
                        ? absl::StrCat(HostName(), ":", ports.grpc->port())
                        : options.worker_id;
  LOG(INFO) << LogLine("listening", {{"worker_id", ports.worker_id},
                                     {"port", ports.grpc->port()},
                                     {"metrics_port", ports.metrics->port()}});
  return ports;
}

}  // namespace blockserve
