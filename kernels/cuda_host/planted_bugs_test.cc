// Mistakes that a device would make of what it likes: each must be caught.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>

#include "kernels/cuda_host/device_code.h"
#include "kernels/cuda_host/grid.h"
#include "kernels/cuda_host/schedule.h"

namespace blockserve::cuda_host {
namespace {

constexpr unsigned kAll = 0xffffffffu;

void RunOnce(unsigned num_threads, const std::function<void()>& body) {
  RunGrid({.name = "planted", .grid = dim3(1), .cta = dim3(num_threads)}, body);
}

void ExpectCaught(unsigned num_threads, const char* words,
                  const std::function<void()>& body) {
  for (const Policy policy : kPolicies) {
    SetSchedule({policy, 1});
    EXPECT_DEATH(RunOnce(num_threads, body), words);
  }
}

// The sum of 128 ones, with what a bug leaves out.
struct Omitted {
  bool barrier_after_write = false;
  bool barrier_before_reuse = false;
};

__device__ float BuggySum(float value, const Omitted& omitted) {
  SHARED_ARRAY(float, sums, 4);
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAll, value, offset);
  }
  if (!omitted.barrier_before_reuse) __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  if (!omitted.barrier_after_write) __syncthreads();
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// How many threads of two sums one after the other get a wrong one.
int NumWrong(const Omitted& omitted, const ScheduleOptions& schedule) {
  SetSchedule(schedule);
  int num_wrong = 0;
  RunOnce(128, [&] {
    const float first = BuggySum(1.0f, omitted);
    const float second = BuggySum(2.0f, omitted);
    if (!(first == 128.0f && second == 256.0f)) ++num_wrong;
  });
  return num_wrong;
}

TEST(PlantedBugsTest, NothingIsWrongWithoutABug) {
  for (const Policy policy : kPolicies) {
    for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
      EXPECT_EQ(NumWrong({}, {policy, seed}), 0);
    }
  }
}

TEST(PlantedBugsTest, MissingBarrierAfterAWriteGivesNan) {
  for (const Policy policy : kPolicies) {
    for (const uint64_t seed : {1, 2, 3}) {
      EXPECT_GT(NumWrong({.barrier_after_write = true}, {policy, seed}), 0);
    }
  }
}

// Found by warps that run ahead only, which is why that is the default.
TEST(PlantedBugsTest, MissingBarrierBeforeReuseIsFoundByRandomWarps) {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    EXPECT_GT(
        NumWrong({.barrier_before_reuse = true}, {Policy::kRandomWarps, seed}),
        0)
        << "seed " << seed;
  }
}

// One element too far reads what nobody wrote.
TEST(PlantedBugsTest, SharedIndexOffByOneGivesNan) {
  for (const Policy policy : kPolicies) {
    SetSchedule({policy, 1});
    int num_wrong = 0;
    RunOnce(64, [&] {
      SHARED_ARRAY(float, values, 65);
      values[threadIdx.x] = 1.0f;
      __syncthreads();
      if (!(values[threadIdx.x + 1] == 1.0f)) ++num_wrong;
    });
    EXPECT_EQ(num_wrong, 1);
  }
}

TEST(PlantedBugsTest, HalfAWarpAtABarrierOfAll) {
  ExpectCaught(32, "warp", [] {
    if (threadIdx.x < 16) __syncwarp(kAll);
  });
}

TEST(PlantedBugsTest, BarrierInABranch) {
  ExpectCaught(64, "barrier", [] {
    if (threadIdx.x < 32) __syncthreads();
  });
}

TEST(PlantedBugsTest, BarriersOfTwoKindsMeet) {
  ExpectCaught(64, "another kind of __syncthreads", [] {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads_or(1);
    }
  });
}

TEST(PlantedBugsTest, ShuffleInABranch) {
  ExpectCaught(32, "warp", [] {
    if (threadIdx.x < 16) __shfl_xor_sync(kAll, 1, 1);
  });
}

TEST(PlantedBugsTest, LanesAtTwoWarpOperations) {
  ExpectCaught(32, "divergent warp operation", [] {
    if (threadIdx.x < 16) {
      __shfl_xor_sync(kAll, 1, 1);
    } else {
      __syncwarp();
    }
  });
}

TEST(PlantedBugsTest, ShuffleFromALaneOutsideOfTheMask) {
  ExpectCaught(32, "not in the mask", [] {
    if (threadIdx.x < 16) __shfl_xor_sync(0x0000ffffu, 1, 16);
  });
}

TEST(PlantedBugsTest, MaskWithoutTheCaller) {
  ExpectCaught(32, "not in its own warp mask", [] { __syncwarp(1u); });
}

TEST(PlantedBugsTest, MaskOfLanesThatDoNotExist) {
  ExpectCaught(20, "does not exist", [] { __syncwarp(kAll); });
}

TEST(PlantedBugsTest, CopiesThatNobodyAwaits) {
  alignas(16) static const float source[4] = {};
  ExpectCaught(1, "cp.async in flight", [] {
    SHARED_ARRAY(float4, staged, 1);
    cuda::CopyAsync16(&staged[0], source);
    cuda::CommitCopies();
  });
}

TEST(PlantedBugsTest, CopiesOfUnalignedMemory) {
  alignas(16) static const float source[8] = {};
  ExpectCaught(1, "not aligned to 16 bytes", [] {
    SHARED_ARRAY(float4, staged, 1);
    cuda::CopyAsync16(&staged[0], source + 1);
  });
}

TEST(PlantedBugsTest, MoreSharedMemoryThanThereIs) {
  ExpectCaught(1, "static shared memory", [] {
    SHARED_ARRAY(float, large, 13 << 10);
    large[0] = 1.0f;
  });
}

TEST(PlantedBugsTest, CtasThatWaitForOneThatHasNotBegun) {
  // Without is_cooperative the second CTA begins when the first has ended.
  int flag = 0;
  SetSchedule({Policy::kForward, 1});
  int num_spins = 0;
  RunGrid({.name = "apart", .grid = dim3(2), .cta = dim3(1)}, [&] {
    if (blockIdx.x == 1) flag = 1;
    while (blockIdx.x == 0 && flag == 0 && num_spins < 100) {
      ++num_spins;
      current_thread->cta->Yield();
    }
  });
  EXPECT_EQ(num_spins, 100);
}

}  // namespace
}  // namespace blockserve::cuda_host
