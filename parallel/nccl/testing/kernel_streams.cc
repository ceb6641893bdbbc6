// The fake NCCL on the streams that emulated kernels run on
// (kernels/cuda_host).
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/fake_runtime.h"
#include "parallel/nccl/testing/fake_cuda.h"

namespace blockserve {

void EnqueueOnFakeStream(cudaStream_t stream, std::function<void()> work) {
  const auto run = [work = std::move(work)] {
    work();
    return true;
  };
  (void)cuda_host::FakeRuntime::Get().Enqueue("NCCL", stream, {"NCCL", run});
}

bool IsRecording(cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(cuda_host::FakeRuntime::Get().mutex);
  return stream->capture != nullptr;
}

// Events are recorded by the communicator, whose own tests look at their order.
void OweLaunch(cudaStream_t, int) {}

void ReportMisuse(const std::string& what) { cuda_host::Fail("NCCL: " + what); }

std::vector<std::string> TakeMisuses() { return {}; }

}  // namespace blockserve
