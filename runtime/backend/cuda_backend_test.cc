// The CUDA backend with NVIDIA's own libraries. What it computes is for the
// conformance suite; here, what it says on a machine without a GPU.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/backend/backend.h"

namespace blockserve {
namespace {

TEST(CudaBackendTest, IsLinked) {
  const auto linked = LinkedBackends();
  EXPECT_EQ(std::count(linked.begin(), linked.end(), "cuda"), 1);
}

TEST(CudaBackendTest, RefusesAMachineWithoutADevice) {
  const auto ops = CreateBackend({.backend = "cuda"});
  if (ops.ok()) GTEST_SKIP() << "there is one: " << (*ops)->Describe();
  EXPECT_EQ(ops.status().code(), absl::StatusCode::kFailedPrecondition)
      << ops.status();
  EXPECT_NE(ops.status().message().find("CUDA"), absl::string_view::npos)
      << ops.status();
}

TEST(CudaBackendTest, RefusesADeviceThatIsNotThere) {
  const auto ops = CreateBackend({.backend = "cuda", .device = 4711});
  EXPECT_EQ(ops.status().code(), absl::StatusCode::kFailedPrecondition)
      << ops.status();
}

TEST(CudaBackendTest, RefusesTypesItHasNoKernelsFor) {
  EXPECT_EQ(CreateBackend({.backend = "cuda", .dtype = "fp16"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace blockserve
