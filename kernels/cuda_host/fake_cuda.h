// What a test can ask of the fake CUDA runtime that it is linked with.
//
// The fake computes on the host, and differs from a device where that finds
// mistakes. Work is lazy: what is enqueued runs when somebody waits for it and
// not before, streams in any order that events allow, so that a copy that
// nobody waits for is always missing instead of sometimes. New memory holds
// NaN. Pointers are checked whenever work runs, graphs included. What CUDA
// leaves undefined or would be wrong on a device ends the process
// (failure.h); what CUDA answers with an error, this does too. Functions that
// the fake lacks do not link.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_CUDA_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_CUDA_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace blockserve {

// What ran since the last ResetFakeCuda.
struct FakeCudaCounts {
  std::map<std::string, int64_t> kernels;  // by name; replays of graphs count
  int64_t num_copies = 0;                  // memcpy and memset
  int64_t num_matmuls = 0;
  int64_t num_graph_launches = 0;
  int64_t num_waits = 0;  // of host threads for the device
  int64_t num_allocations = 0;

  int64_t num_kernels() const {
    int64_t sum = 0;
    for (const auto& [name, count] : kernels) sum += count;
    return sum;
  }
};

struct FakeCudaOptions {
  uint64_t seed = 1;  // of the order of streams and of graphs' nodes
  int num_devices = 4;
  size_t device_bytes = size_t{4} << 30;
};

// Between tests, when nothing is enqueued: forgets counts and failures. Fails
// if work is left over.
void ResetFakeCuda(const FakeCudaOptions& options = {});

FakeCudaCounts CountsOfFakeCuda();
size_t DeviceBytesInUse();  // of all devices

// The `nth` call from now on of the CUDA function `name` ("cudaMalloc";
// kernels: "kernel <name>") returns `error`. 1: the next.
void FailCall(const std::string& name, int nth, cudaError_t error);
// After `num_ops` more operations `device` is lost: nothing runs there, and
// every call says `error`.
void FailDevice(int device, int num_ops, cudaError_t error);

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_CUDA_H_
