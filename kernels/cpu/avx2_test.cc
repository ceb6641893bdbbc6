// The backend as it is on a CPU that has AVX2 and nothing newer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "kernels/cpu/cpu_ops.h"

namespace blockserve {
namespace {

class Avx2Test : public testing::Test {
 protected:
  // oneDNN reads it once, when it is first used.
  static void SetUpTestSuite() { setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1); }
};

TEST_F(Avx2Test, LimitsOneDnnAndHighway) {
  auto ops = CreateCpuOps(DType::kFloat32, 1);
  ASSERT_TRUE(ops.ok()) << ops.status();
  const std::string description = (*ops)->Describe();
  EXPECT_EQ(description.find("AVX512"), std::string::npos) << description;
  EXPECT_EQ(description.find("AVX3"), std::string::npos) << description;
  EXPECT_EQ(description.find("AMX"), std::string::npos) << description;
}

TEST_F(Avx2Test, RefusesBf16) {
  EXPECT_FALSE(CpuHasBFloat16());
  const absl::Status status = CreateCpuOps(DType::kBFloat16, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("bf16"), std::string::npos) << status;
}

}  // namespace
}  // namespace blockserve
