#include "kernels/cuda_host/failure.h"

#include <cstdio>
#include <cstdlib>

namespace blockserve::cuda_host {

void Fail(const std::string& what) {
  std::fprintf(stderr, "cuda_host: %s\n", what.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace blockserve::cuda_host
