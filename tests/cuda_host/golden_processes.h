// Golden cases with a process for each rank.
#ifndef BLOCKSERVE_TESTS_CUDA_HOST_GOLDEN_PROCESSES_H_
#define BLOCKSERVE_TESTS_CUDA_HOST_GOLDEN_PROCESSES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/golden/golden_case.h"

namespace blockserve {

struct GoldenProcesses {
  std::string directory;
  GoldenOptions options;  // without devices
  uint64_t seed = 1;
  bool graphs = true;
};

// Forks: call it while the process has one thread. Each process has one rank
// and makes every check but those of intermediate tensors, which need all
// ranks'. `report` is called in each, and returns its exit code; these come
// back in rank order, for a process that a signal has ended minus the signal.
std::vector<int> RunGoldenProcesses(
    const GoldenProcesses& run,
    const std::function<int(int rank,
                            const absl::StatusOr<GoldenResult>& result,
                            const std::string& log)>& report);

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_CUDA_HOST_GOLDEN_PROCESSES_H_
