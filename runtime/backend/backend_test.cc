#include "runtime/backend/backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "kernels/cpu/cpu_ops.h"

namespace blockserve {
namespace {

absl::StatusCode CodeOf(const BackendOptions& options) {
  return CreateBackend(options).status().code();
}

TEST(BackendTest, MakesTheReferenceInEitherType) {
  for (const auto& [dtype, expected] :
       {std::pair{"auto", DType::kFloat32}, std::pair{"fp32", DType::kFloat32},
        std::pair{"bf16", DType::kBFloat16}}) {
    const auto ops = CreateBackend({.backend = "reference", .dtype = dtype});
    ASSERT_TRUE(ops.ok()) << ops.status();
    EXPECT_EQ((*ops)->name(), "reference");
    EXPECT_EQ((*ops)->dtype(), expected);
  }
}

TEST(BackendTest, CpuTakesBFloat16WhereItIsFast) {
  const auto automatic = CreateBackend({.backend = "cpu", .num_threads = 1});
  ASSERT_TRUE(automatic.ok()) << automatic.status();
  EXPECT_EQ((*automatic)->dtype(),
            CpuHasBFloat16() ? DType::kBFloat16 : DType::kFloat32);
  const auto fp32 =
      CreateBackend({.backend = "cpu", .dtype = "fp32", .num_threads = 1});
  ASSERT_TRUE(fp32.ok()) << fp32.status();
  EXPECT_EQ((*fp32)->dtype(), DType::kFloat32);
}

TEST(BackendTest, RefusesUnknownNames) {
  EXPECT_EQ(CodeOf({.backend = "tpu"}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf({.backend = ""}), absl::StatusCode::kInvalidArgument);
  for (const char* backend : {"reference", "cpu"}) {
    EXPECT_EQ(CodeOf({.backend = backend, .dtype = "fp16"}),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(
      CodeOf({.backend = "reference", .dtype = "auto", .num_threads = -1}),
      absl::StatusCode::kInvalidArgument);
}

TEST(BackendTest, SaysHowToGetABackendThatIsNotLinked) {
  const auto linked = LinkedBackends();
  if (std::find(linked.begin(), linked.end(), "cuda") != linked.end()) {
    GTEST_SKIP() << "cuda is linked";
  }
  const absl::Status status = CreateBackend({.backend = "cuda"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("--config=cuda"), absl::string_view::npos);
}

// Every linked backend can be made with the defaults of a server, unless it
// lacks its device.
TEST(BackendTest, MakesWhatIsLinked) {
  const auto linked = LinkedBackends();
  EXPECT_NE(std::find(linked.begin(), linked.end(), "reference"), linked.end());
  for (const std::string& name : linked) {
    const auto ops = CreateBackend({.backend = name});
    if (ops.ok()) {
      EXPECT_EQ((*ops)->name(), name);
    } else {
      EXPECT_EQ(ops.status().code(), absl::StatusCode::kFailedPrecondition)
          << name << ": " << ops.status();
    }
  }
}

}  // namespace
}  // namespace blockserve
