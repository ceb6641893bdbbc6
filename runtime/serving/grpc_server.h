// A gRPC server with what every BlockServe process offers: health
// (grpc.health.v1), reflection, channelz, message limits and keepalive.
#ifndef BLOCKSERVE_RUNTIME_SERVING_GRPC_SERVER_H_
#define BLOCKSERVE_RUNTIME_SERVING_GRPC_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace blockserve {

struct GrpcServerOptions {
  std::string address = "0.0.0.0:50051";  // port 0: any free one
  int max_message_bytes = 64 << 20;       // of what clients send
  // The server pings idle clients this often, and drops one that does not
  // answer in time: so a vanished client's requests are freed.
  absl::Duration keepalive_time = absl::Seconds(10);
  absl::Duration keepalive_timeout = absl::Seconds(5);
  // Connections older are closed gently, so that clients spread anew.
  absl::Duration max_connection_age = absl::InfiniteDuration();
  absl::Duration max_connection_age_grace = absl::InfiniteDuration();
};

// Thread-safe.
class GrpcServer {
 public:
  // Listens and serves `services`, which must outlive the server. All health
  // names start as NOT_SERVING but "liveness". UNAVAILABLE, naming the address,
  // if the port is taken (SO_REUSEPORT is off); INVALID_ARGUMENT for an address
  // that is none or not of this machine.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const GrpcServerOptions& options,
      const std::vector<grpc::Service*>& services);

  virtual ~GrpcServer() = default;  // shuts down at once

  virtual int port() const = 0;
  // Sets "", "readiness" and each service's name; Watch streams are told.
  virtual void SetReady(bool ready) = 0;
  // Stops accepting calls, ends health's Watch streams, waits for running calls
  // until `deadline`, then cancels them. Idempotent.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_GRPC_SERVER_H_
