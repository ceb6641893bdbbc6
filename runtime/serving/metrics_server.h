// Serves a Prometheus registry at http://ADDRESS/metrics.
#ifndef BLOCKSERVE_RUNTIME_SERVING_METRICS_SERVER_H_
#define BLOCKSERVE_RUNTIME_SERVING_METRICS_SERVER_H_

#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace blockserve {

class MetricsServer {
 public:
  // `address` HOST:PORT; port 0: any free one. UNAVAILABLE, naming the address,
  // if the port is taken. `before_scrape` (optional) sets the gauges that are
  // not kept up to date otherwise; called on the server's threads.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& address,
      std::shared_ptr<prometheus::Registry> registry,
      std::function<void()> before_scrape = nullptr);

  virtual ~MetricsServer() = default;

  virtual int port() const = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_METRICS_SERVER_H_
