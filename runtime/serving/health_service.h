// grpc.health.v1.Health over a table of names.
#ifndef BLOCKSERVE_RUNTIME_SERVING_HEALTH_SERVICE_H_
#define BLOCKSERVE_RUNTIME_SERVING_HEALTH_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace blockserve {

// In place of gRPC's default service, which says SERVING from the first moment,
// is unknown to reflection, and whose Watch streams hold up a shutdown.
// Thread-safe; outlives the server it is registered with.
class HealthService : public grpc::health::v1::Health::CallbackService {
 public:
  // Takes the lock once more: so that ThreadSanitizer, too, sees that the last
  // watcher was done before.
  ~HealthService() override { absl::MutexLock lock(&mutex_); }

  // Adds or changes `name`; its watchers are told if it changed.
  void Set(const std::string& name, bool serving);

  // Sets every name to NOT_SERVING and ends the Watch streams. Set has no
  // effect afterwards.
  void Shutdown();

  grpc::ServerUnaryReactor* Check(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request,
      grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class Watcher;
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  absl::Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Status> status_ ABSL_GUARDED_BY(mutex_);
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_HEALTH_SERVICE_H_
