// Device code on the host does what it does on a device.
#include "kernels/cuda_host/device_code.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/cuda_host/grid.h"
#include "kernels/cuda_host/schedule.h"

namespace blockserve::cuda_host {
namespace {

constexpr unsigned kAll = 0xffffffffu;

// Runs `body` under every policy and some seeds.
template <typename Body>
void RunUnderEveryPolicy(const GridShape& shape, const Body& body) {
  for (const Policy policy : kPolicies) {
    for (const uint64_t seed : {1, 2, 3}) {
      SetSchedule({policy, seed});
      RunGrid(shape, body);
    }
  }
}

TEST(DeviceCodeTest, EveryThreadKnowsItsIndex) {
  std::vector<int> seen(2 * 3 * 4 * 5 * 2 * 3);
  RunGrid({.name = "index", .grid = dim3(2, 3, 4), .cta = dim3(5, 2, 3)}, [&] {
    const unsigned cta =
        blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread =
        threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    ++seen[cta * 30 + thread];
  });
  EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
}

__device__ int SumOfCta(int value) {
  SHARED_ARRAY(int, sums, 4);
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAll, value, offset);
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  return sums[0] + sums[1] + sums[2] + sums[3];
}

TEST(DeviceCodeTest, SumsOverWarpsAndSharedMemory) {
  RunUnderEveryPolicy({.name = "sum", .grid = dim3(3), .cta = dim3(128)}, [] {
    for (int round = 0; round < 4; ++round) {
      const int value = static_cast<int>(threadIdx.x) + round;
      EXPECT_EQ(SumOfCta(value), 127 * 64 + 128 * round);
    }
  });
}

TEST(DeviceCodeTest, ShufflesMoveValuesWithinTheirWidth) {
  RunUnderEveryPolicy(
      {.name = "shuffle", .grid = dim3(1), .cta = dim3(32)}, [] {
        const int lane = static_cast<int>(threadIdx.x);
        EXPECT_EQ(__shfl_sync(kAll, lane, 5), 5);
        EXPECT_EQ(__shfl_sync(kAll, lane, 3, 8), lane / 8 * 8 + 3);
        EXPECT_EQ(__shfl_up_sync(kAll, lane, 2), lane < 2 ? lane : lane - 2);
        EXPECT_EQ(__shfl_down_sync(kAll, lane, 2), lane > 29 ? lane : lane + 2);
        EXPECT_EQ(__shfl_xor_sync(kAll, lane * 1.5, 7), (lane ^ 7) * 1.5);
        EXPECT_EQ(__ballot_sync(kAll, lane % 2), 0xaaaaaaaau);
        EXPECT_EQ(__reduce_add_sync(kAll, 3u), 96u);
        EXPECT_EQ(__reduce_max_sync(kAll, threadIdx.x), 31u);
        // Halves of a warp go their own ways.
        const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
        EXPECT_EQ(__shfl_xor_sync(half, lane, 8), lane ^ 8);
      });
}

TEST(DeviceCodeTest, BarriersCountAndVote) {
  RunUnderEveryPolicy({.name = "vote", .grid = dim3(2), .cta = dim3(96)}, [] {
    EXPECT_EQ(__syncthreads_count(threadIdx.x < 10), 10);
    EXPECT_NE(__syncthreads_or(threadIdx.x == 95), 0);
    EXPECT_EQ(__syncthreads_or(0), 0);
    EXPECT_NE(__syncthreads_and(1), 0);
    EXPECT_EQ(__syncthreads_and(threadIdx.x != 50), 0);
  });
}

TEST(DeviceCodeTest, SharedMemoryIsNanUntilWritten) {
  RunGrid({.name = "poison",
           .grid = dim3(2),
           .cta = dim3(32),
           .dynamic_shared_bytes = 64},
          [] {
            SHARED_ARRAY(float, values, 32);
            SHARED_ARRAY(__nv_bfloat16, narrow, 32);
            DYNAMIC_SHARED(float, dynamic);
            EXPECT_TRUE(std::isnan(values[threadIdx.x]));
            EXPECT_TRUE(std::isnan(__bfloat162float(narrow[threadIdx.x])));
            EXPECT_TRUE(std::isnan(dynamic[threadIdx.x % 16]));
            __syncthreads();
            values[threadIdx.x] = 0.0f;
            dynamic[threadIdx.x % 16] = 0.0f;
          });
}

TEST(DeviceCodeTest, CopiesArriveWhenTheyAreAwaited) {
  alignas(16) float source[64];
  std::iota(source, source + 64, 0.0f);
  RunUnderEveryPolicy({.name = "copy", .grid = dim3(1), .cta = dim3(8)}, [&] {
    SHARED_ARRAY(float4, staged, 16);
    const int i = static_cast<int>(threadIdx.x);
    cuda::CopyAsync16(&staged[i], source + 4 * i);
    cuda::CommitCopies();
    cuda::CopyAsync16(&staged[8 + i], source + 32 + 4 * i);
    cuda::CommitCopies();
    EXPECT_TRUE(std::isnan(staged[i].x));
    cuda::AwaitCopies<1>();
    EXPECT_EQ(staged[i].y, 4.0f * i + 1);
    EXPECT_TRUE(std::isnan(staged[8 + i].x));
    cuda::AwaitCopies<0>();
    EXPECT_EQ(staged[8 + i].w, 35.0f + 4 * i);
  });
}

// C = A B over tiles of 16 x 8 x 16, with operands read by ldmatrix.
TEST(DeviceCodeTest, MatrixOperationsMultiply) {
  alignas(16) __nv_bfloat16 a[16 * 16];
  alignas(16) __nv_bfloat16 b[16 * 16];  // [k][column], 16 columns
  float expected[16][16] = {};
  for (int i = 0; i < 256; ++i) {
    a[i] = __float2bfloat16(static_cast<float>(i * 37 % 23) - 11.0f);
    b[i] = __float2bfloat16(static_cast<float>(i * 53 % 19) - 9.0f);
  }
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 16; ++column) {
      for (int k = 0; k < 16; ++k) {
        expected[row][column] += __bfloat162float(a[row * 16 + k]) *
                                 __bfloat162float(b[k * 16 + column]);
      }
    }
  }
  RunUnderEveryPolicy({.name = "mma", .grid = dim3(1), .cta = dim3(32)}, [&] {
    const int lane = static_cast<int>(threadIdx.x);
    const int offset = lane % 16 * 16 + lane / 16 * 8;
    uint32_t a_fragments[4];
    uint32_t b_fragments[4];
    cuda::LoadMatrices<false>(a_fragments, a + offset);
    cuda::LoadMatrices<true>(b_fragments, b + offset);
    for (int half = 0; half < 2; ++half) {
      const uint32_t b_half[2] = {b_fragments[2 * half],
                                  b_fragments[2 * half + 1]};
      float sums[4] = {};
      cuda::MmaBFloat16(sums, a_fragments, b_half, sums);
      for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + (i >= 2 ? 8 : 0);
        const int column = 8 * half + lane % 4 * 2 + i % 2;
        EXPECT_EQ(sums[i], expected[row][column]);
      }
    }
  });
}

// CTAs that wait for each other, as an all-reduce over peers does.
TEST(DeviceCodeTest, CooperativeGridsRunTogether) {
  for (const Policy policy : kPolicies) {
    SetSchedule({policy, 1});
    int arrived = 0;
    RunGrid({.name = "together",
             .grid = dim3(5),
             .cta = dim3(32),
             .is_cooperative = true},
            [&] {
              if (threadIdx.x == 0) {
                atomicAdd(&arrived, 1);
                while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < 5) {
                  current_thread->cta->Yield();
                }
              }
              __syncthreads();
              EXPECT_EQ(arrived, 5);
            });
  }
}

}  // namespace
}  // namespace blockserve::cuda_host
