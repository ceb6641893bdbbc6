// The life of a worker process, from its options to its exit code.
#ifndef BLOCKSERVE_RUNTIME_WORKER_WORKER_PROCESS_H_
#define BLOCKSERVE_RUNTIME_WORKER_WORKER_PROCESS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/group/group_rank.h"
#include "runtime/worker/model_host.h"
#include "runtime/worker/worker_ports.h"

namespace blockserve {

struct WorkerOptions {
  ModelHostOptions host;
  WorkerPortsOptions ports;
  std::optional<GroupRankOptions> group;  // empty: one rank alone
  // The process ends when the group is broken (ABORTED), so that an
  // orchestrator starts all ranks anew; else the ranks that are left form again
  // with those that come back.
  bool exit_on_group_failure = false;
  std::string model_name;  // empty: the configuration's
  std::string port_file;   // empty: none
  absl::Duration drain_timeout = absl::Seconds(30);
  bool log_requests = false;
};

// Listens, loads, serves until a signal, drains. Listens first: probes get an
// answer (NOT_SERVING) while the model is loaded, a taken port is told at once.
// Needs InitServerProcess. OK after a signal, also one during the start; else
// what kept it from starting (ExitCodeFor), or INTERNAL if the engine failed:
// then whoever started the worker is to start it again. In a group, rank 0
// leads and serves routers, the others step as it plans.
absl::Status RunWorker(const WorkerOptions& options);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_WORKER_PROCESS_H_
