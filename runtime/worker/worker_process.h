// The life of a worker process, from its options to its exit code.
#ifndef BLOCKSERVE_RUNTIME_WORKER_WORKER_PROCESS_H_
#define BLOCKSERVE_RUNTIME_WORKER_WORKER_PROCESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/worker/model_host.h"

namespace blockserve {

struct WorkerOptions {
  ModelHostOptions host;
  std::string model_name;  // empty: the configuration's
  std::string worker_id;   // empty: HOSTNAME:PORT
  std::string address;     // HOST:PORT of the gRPC service
  std::string metrics_address;
  int max_message_bytes = 64 << 20;
  std::string port_file;  // empty: none
  absl::Duration drain_timeout = absl::Seconds(30);
  bool log_requests = false;
};

// Listens, loads, serves until a signal, drains. Listens first: probes get an
// answer (NOT_SERVING) while the model is loaded, a taken port is told at once.
// Needs InitServerProcess. OK after a signal, also one during the start; else
// what kept it from starting (ExitCodeFor), or INTERNAL if the engine failed:
// then whoever started the worker is to start it again.
absl::Status RunWorker(const WorkerOptions& options);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_WORKER_PROCESS_H_
