// Devices of the CUDA backend on the host, for golden runs.
#ifndef BLOCKSERVE_TESTS_CUDA_HOST_HOST_DEVICES_H_
#define BLOCKSERVE_TESTS_CUDA_HOST_HOST_DEVICES_H_

#include <cstdint>
#include <string>

#include "runtime/golden/golden_devices.h"

namespace blockserve {

// One fake device for each of `num_ranks`, which NCCL's communicator connects
// over a fake of NCCL. Everything whose order CUDA leaves open is ordered by
// `seed`. `graphs`: steps that come again are replayed. Starts the fakes
// afresh: one at a time.
GoldenDevices HostCudaDevices(int num_ranks, uint64_t seed, bool graphs = true);

// The device of one rank of several processes, which find each other by files
// named `path` and more.
GoldenDevices HostCudaDeviceOfProcess(const std::string& path, int rank,
                                      int num_ranks, uint64_t seed,
                                      bool graphs = true);

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_CUDA_HOST_HOST_DEVICES_H_
