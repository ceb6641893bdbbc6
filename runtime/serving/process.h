// What every server binary does around its work: logs, signals, exit codes.
#ifndef BLOCKSERVE_RUNTIME_SERVING_PROCESS_H_
#define BLOCKSERVE_RUNTIME_SERVING_PROCESS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace blockserve {

// Exit codes of the binaries.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitBadInput = 2;  // flags, model files
inline constexpr int kExitPortInUse = 3;

// The exit code that tells `status`.
int ExitCodeFor(const absl::Status& status);

// glog to stderr, absl flags with unknown flags refused (exit 2), SIGPIPE
// ignored, SIGTERM and SIGINT held for WaitForShutdownSignal: call first in
// main, before any thread starts.
void InitServerProcess(int* argc, char*** argv, const char* usage);

// Blocks until SIGTERM or SIGINT, or `timeout`. True if a signal came. A second
// signal ends the process at once with 128 + its number.
bool WaitForShutdownSignal(absl::Duration timeout = absl::InfiniteDuration());

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_PROCESS_H_
