// The few functions of the CUDA runtime that the NCCL communicator calls, on
// host memory: a stream is a thread that runs its queue in order. Linked
// instead of libcudart; the signatures are those of NVIDIA's headers.
#ifndef BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_CUDA_H_
#define BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_CUDA_H_

#include <cuda_runtime_api.h>

#include <functional>
#include <string>
#include <vector>

namespace blockserve {

// Puts work of a fake library on a fake stream.
void EnqueueOnFakeStream(cudaStream_t stream, std::function<void()> work);
// Whether it is recorded there, to run later and again, and not now.
bool IsRecording(cudaStream_t stream);
// While one is owed, recording an event there is misuse: it would be done
// before what it is to follow.
void OweLaunch(cudaStream_t stream, int num_launches);

// What no caller may do, in words; fakes add to it, tests look that it is
// empty. Any thread.
void ReportMisuse(const std::string& what);
std::vector<std::string> TakeMisuses();

// The next cudaMalloc finds no memory.
void FailNextAllocation();

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_CUDA_H_
