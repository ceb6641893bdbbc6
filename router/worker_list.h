// Lists of workers' addresses, as flags and files hold them.
#ifndef BLOCKSERVE_ROUTER_WORKER_LIST_H_
#define BLOCKSERVE_ROUTER_WORKER_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace blockserve {

// Most workers of one router: each has series in the metrics.
inline constexpr int kMaxWorkers = 1024;

// HOST:PORT, with a host and a port that is not 0, in its canonical spelling.
absl::StatusOr<std::string> ParseWorkerAddress(absl::string_view text);

// HOST:PORT,HOST:PORT,...; at least one.
absl::StatusOr<std::vector<std::string>> ParseWorkerList(
    absl::string_view list);

// One HOST:PORT per line; blank lines and what follows a # are left out. The
// error names every bad line, up to ten. No workers at all are fine.
absl::StatusOr<std::vector<std::string>> ParseWorkerFile(
    absl::string_view text);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_LIST_H_
