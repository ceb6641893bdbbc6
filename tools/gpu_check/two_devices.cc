// The emulated machine of gpu_check_host has two devices.
#include "kernels/cuda_host/fake_cuda.h"

namespace blockserve {
namespace {

[[maybe_unused]] const bool is_set = [] {
  ResetFakeCuda({.num_devices = 2});
  return true;
}();

}  // namespace
}  // namespace blockserve
