// The seam between the router's decisions and what connects it to a worker.
#ifndef BLOCKSERVE_ROUTER_WORKER_CONNECTION_H_
#define BLOCKSERVE_ROUTER_WORKER_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"

namespace blockserve {

// Receives what a worker says about one request, one call at a time; must not
// block.
class WorkerRequestHandler {
 public:
  virtual ~WorkerRequestHandler() = default;
  // The event with `done` is the last call.
  virtual void OnEvent(const worker::v1::RequestEvent& event) = 0;
  // The connection broke before `done`; the last call.
  virtual void OnLost(const absl::Status& why) = 0;
};

// Told about one worker, over all connections to it, one call at a time; must
// not block.
class WorkerConnectionListener {
 public:
  virtual ~WorkerConnectionListener() = default;
  // Who the worker is. An error refuses it and ends the connection.
  virtual absl::Status OnIdentity(
      int worker, const worker::v1::GetIdentityResponse& identity) = 0;
  virtual void OnLoad(int worker,
                      const worker::v1::WatchLoadResponse& load) = 0;
  // What the worker's grpc.health.v1 says; not called if it has none.
  virtual void OnReadiness(int worker, bool ready) = 0;
  // The connection, or the attempt to make one, has failed: before the requests
  // hear of it. DEADLINE_EXCEEDED after OnIdentity: the worker hangs.
  virtual void OnDown(int worker, const absl::Status& why) = 0;
};

// Keeps a connection to one worker: connects, and connects again. Thread-safe.
class WorkerConnection {
 public:
  virtual ~WorkerConnection() = default;

  // To be called every few hundredths of a second; `random` jitters the next
  // wait.
  virtual void Tick(absl::Time now, uint64_t random) = 0;
  // Sends a generate or score command, whose id is unique on this connection,
  // and delivers its events to `handler`. False if there is no connection: then
  // nothing is called.
  virtual bool StartRequest(const std::string& id,
                            worker::v1::ExecuteRequest command,
                            std::shared_ptr<WorkerRequestHandler> handler) = 0;
  // Forgets the handler and has the worker abort the request. A call to the
  // handler that has begun may still be running.
  virtual void CancelRequest(const std::string& id) = 0;
};

// The listener outlives the connection.
using WorkerConnector = std::function<std::unique_ptr<WorkerConnection>(
    int worker, const std::string& address, WorkerConnectionListener*)>;

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_CONNECTION_H_
