// The backends linked into a binary, by name.
#ifndef BLOCKSERVE_RUNTIME_BACKEND_BACKEND_H_
#define BLOCKSERVE_RUNTIME_BACKEND_BACKEND_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"

namespace blockserve {

struct BackendOptions {
  std::string backend = "cpu";  // "cpu", "reference" or "cuda"
  std::string dtype = "auto";   // "auto", "fp32" or "bf16"
  int num_threads = 0;          // 0: one per core this process may use
  int device = -1;  // of a GPU; -1: ranks are dealt to the host's devices
  int rank = 0;     // of this process or thread in its group
};

// INVALID_ARGUMENT for an unknown name or a dtype the backend lacks;
// FAILED_PRECONDITION for a backend that is not linked or has no device here.
absl::StatusOr<std::unique_ptr<Ops>> CreateBackend(
    const BackendOptions& options);

std::vector<std::string> LinkedBackends();

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BACKEND_BACKEND_H_
