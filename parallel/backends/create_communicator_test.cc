#include "parallel/backends/create_communicator.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "parallel/backends/linked_nccl.h"

namespace blockserve {
namespace {

using absl::StatusCode;

// Of whom no peer may be asked.
absl::Status Create(const std::string& kind, int size, bool one_host,
                    void* cuda_stream = nullptr,
                    const std::string& bind_address = "127.0.0.1") {
  return CreateCommunicator(
             kind, 0, size, {}, one_host, bind_address,
             [](const std::string&)
                 -> absl::StatusOr<std::vector<std::string>> {
               ADD_FAILURE() << "peers were asked";
               return absl::InternalError("no peers");
             },
             cuda_stream)
      .status();
}

TEST(CreateCommunicatorTest, RefusesWhatItCannotMake) {
  EXPECT_EQ(Create("mpi", 2, true).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Create("shm", 2, false).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Create("auto", 1, false).code(), StatusCode::kOk);
}

TEST(CreateCommunicatorTest, RefusesAnAddressOfAnotherHost) {
  EXPECT_EQ(Create("gloo", 2, false, nullptr, "192.0.2.1").code(),
            StatusCode::kInvalidArgument);
}

TEST(CreateCommunicatorTest, RefusesNcclInHostMemory) {
  const absl::Status made = Create("nccl", 2, true);
  EXPECT_EQ(made.code(), StatusCode::kFailedPrecondition) << made;
  EXPECT_NE(made.message().find(HasNccl() ? "host memory" : "--config=cuda"),
            absl::string_view::npos)
      << made;
}

TEST(CreateCommunicatorTest, RefusesHostCollectivesOnAGpu) {
  int stream = 0;  // never used as one
  for (const char* const kind : {"shm", "gloo"}) {
    const absl::Status made = Create(kind, 2, true, &stream);
    EXPECT_EQ(made.code(), StatusCode::kFailedPrecondition) << made;
  }
}

TEST(CreateCommunicatorTest, NcclNeedsTheToolkitAndGpus) {
  const absl::Status made = Create("nccl", 2, true, nullptr);
  EXPECT_EQ(made.code(), StatusCode::kFailedPrecondition) << made;
  const absl::string_view missing =
      HasNccl() ? "are between GPUs" : "build with --config=cuda";
  EXPECT_NE(made.message().find(missing), absl::string_view::npos) << made;
}

}  // namespace
}  // namespace blockserve
