#include "kernels/cuda/graph_cache.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "kernels/cuda_host/fake_cuda.h"

namespace blockserve::cuda {
namespace {

constexpr size_t kBytes = 64;

class GraphCacheTest : public testing::Test {
 protected:
  GraphCacheTest() {
    ResetFakeCuda();
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
              cudaSuccess);
    EXPECT_EQ(cudaMalloc(&memory_, kBytes), cudaSuccess);
  }
  ~GraphCacheTest() override {
    EXPECT_EQ(cudaFree(memory_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
  }

  // Runs the work of `key`, which writes to the device.
  absl::Status Run(GraphCache& cache, uint64_t key) {
    return cache.Run(key, [&] {
      ++num_calls_;
      was_recorded_ = cache.is_recording();
      EXPECT_EQ(
          cudaMemsetAsync(memory_, static_cast<int>(key), kBytes, stream_),
          cudaSuccess);
    });
  }

  cudaStream_t stream_ = nullptr;
  void* memory_ = nullptr;
  int num_calls_ = 0;
  bool was_recorded_ = false;
};

TEST_F(GraphCacheTest, RecordsTheSecondTimeAndCallsNoMore) {
  GraphCache cache(stream_, 4);
  ASSERT_TRUE(Run(cache, 7).ok());
  EXPECT_FALSE(was_recorded_);
  EXPECT_EQ(cache.num_graphs(), 0u);
  ASSERT_TRUE(Run(cache, 7).ok());
  EXPECT_TRUE(was_recorded_);
  ASSERT_TRUE(Run(cache, 7).ok());
  EXPECT_EQ(num_calls_, 2);
  EXPECT_EQ(cache.num_graphs(), 1u);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  // Recording runs nothing: one call and two launches.
  EXPECT_EQ(CountsOfFakeCuda().num_copies, 3);
  EXPECT_EQ(CountsOfFakeCuda().num_graph_launches, 2);
}

TEST_F(GraphCacheTest, KeysHaveGraphsOfTheirOwnUpToALimit) {
  GraphCache cache(stream_, 2);
  for (const uint64_t key : {1, 2, 3}) {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(Run(cache, key).ok());
  }
  EXPECT_EQ(cache.num_graphs(), 2u);
  // The third key's work is called each time.
  EXPECT_EQ(num_calls_, 2 + 2 + 3);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
}

TEST_F(GraphCacheTest, StartsAfreshWhenCleared) {
  GraphCache cache(stream_, 2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Run(cache, 1).ok());
  cache.Clear();
  EXPECT_EQ(cache.num_graphs(), 0u);
  ASSERT_TRUE(Run(cache, 1).ok());
  EXPECT_FALSE(was_recorded_);
  EXPECT_EQ(num_calls_, 3);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
}

TEST_F(GraphCacheTest, SaysWhatCannotBeRecorded) {
  GraphCache cache(stream_, 2);
  ASSERT_TRUE(Run(cache, 1).ok());
  const absl::Status status = cache.Run(1, [&] {
    void* other = nullptr;
    (void)cudaMalloc(&other, kBytes);
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(cache.is_recording());
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
}

}  // namespace
}  // namespace blockserve::cuda
