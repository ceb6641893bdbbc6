// What every server binary does around its work: logs, flags, signals, exit
// codes. One process has one of each, so these are functions on globals.
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
inline constexpr int kExitGroupBroken = 5;  // a rank of the group was lost

// The exit code that tells `status`: UNAVAILABLE is a busy port, ABORTED a
// broken group, what the user can mend in flags or files is bad input.
int ExitCodeFor(const absl::Status& status);

// Writes `status` to stderr as one line that starts with the binary's name;
// returns its exit code.
int ReportFailure(const absl::Status& status);

// glog to stderr, absl flags with unknown ones refused (exit 2) and --help
// (exit 0), SIGPIPE ignored, SIGTERM and SIGINT kept for WaitForShutdownSignal,
// whichever thread gets them. Call first in main. Leaves the arguments that are
// no flags.
void InitServerProcess(int* argc, char*** argv, const char* usage);

// Blocks until SIGTERM or SIGINT, or `timeout`. True if a signal came, now or
// before. The second signal ends the process at once with 128 + its number.
bool WaitForShutdownSignal(absl::Duration timeout = absl::InfiniteDuration());

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_PROCESS_H_
