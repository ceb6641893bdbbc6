// The worker with the backend for GPUs, on a machine without one.
#include <cuda_runtime_api.h>
#include <signal.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/worker/testing/child_process.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

constexpr char kBinary[] = "runtime/worker/blockserve_worker_cuda";
constexpr int kExitBadInput = 2;

std::vector<std::string> Command(const std::vector<std::string>& flags) {
  std::vector<std::string> command = {kBinary, "--model=models/demo-block",
                                      "--host=127.0.0.1", "--port=0",
                                      "--metrics_port=0"};
  command.insert(command.end(), flags.begin(), flags.end());
  return command;
}

bool HasDevice() {
  int num_devices = 0;
  return cudaGetDeviceCount(&num_devices) == cudaSuccess && num_devices > 0;
}

TEST(WorkerCudaTest, RefusesAMachineWithoutADevice) {
  if (HasDevice()) GTEST_SKIP() << "there is a device";
  ChildProcess worker(Command({"--backend=cuda"}));
  EXPECT_EQ(worker.Wait(), kExitBadInput);
  EXPECT_THAT(worker.output(),
              HasSubstr("blockserve_worker_cuda: CUDA: looking for devices: "));
}

TEST(WorkerCudaTest, RefusesADeviceThatIsNotThere) {
  ChildProcess worker(Command({"--backend=cuda", "--device=1023"}));
  EXPECT_EQ(worker.Wait(), kExitBadInput);
  EXPECT_THAT(worker.output(), HasSubstr("blockserve_worker_cuda: "));
}

TEST(WorkerCudaTest, NeedsNoDeviceForTheOtherBackends) {
  ChildProcess worker(Command({"--backend=cpu", "--threads=1"}));
  ASSERT_TRUE(worker.WaitForOutput("event=ready")) << worker.output();
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.Wait(), 0);
}

}  // namespace
}  // namespace blockserve
