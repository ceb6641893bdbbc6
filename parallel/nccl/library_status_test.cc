#include "parallel/nccl/library_status.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

TEST(LibraryStatusTest, APeerThatIsGoneIsUnavailable) {
  const absl::Status gone = StatusOfNccl(NcclCode::kRemoteError, "all_reduce",
                                         "remote process exited");
  EXPECT_EQ(gone, absl::UnavailableError(
                      "all_reduce: NCCL 6: remote process exited"));
}

TEST(LibraryStatusTest, OtherErrorsOfNcclAreInternal) {
  for (const NcclCode code :
       {NcclCode::kUnhandledCudaError, NcclCode::kSystemError,
        NcclCode::kInternalError, NcclCode::kInvalidArgument,
        NcclCode::kInvalidUsage, static_cast<NcclCode>(77)}) {
    EXPECT_TRUE(absl::IsInternal(StatusOfNccl(code, "x", "y")));
  }
}

TEST(LibraryStatusTest, WhatIsNotDoneYetIsNoError) {
  EXPECT_TRUE(StatusOfNccl(NcclCode::kSuccess, "x", "y").ok());
  EXPECT_TRUE(StatusOfNccl(NcclCode::kInProgress, "x", "y").ok());
  EXPECT_TRUE(StatusOfCuda(CudaCode::kSuccess, "x", "y").ok());
  EXPECT_TRUE(StatusOfCuda(CudaCode::kNotReady, "x", "y").ok());
}

TEST(LibraryStatusTest, SaysWhatOfTheDeviceIsMissing) {
  EXPECT_TRUE(absl::IsResourceExhausted(
      StatusOfCuda(CudaCode::kMemoryAllocation, "x", "y")));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      StatusOfCuda(CudaCode::kInsufficientDriver, "x", "y")));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(StatusOfCuda(CudaCode::kNoDevice, "x", "y")));
  EXPECT_TRUE(
      absl::IsInternal(StatusOfCuda(static_cast<CudaCode>(700), "x", "y")));
}

}  // namespace
}  // namespace blockserve
