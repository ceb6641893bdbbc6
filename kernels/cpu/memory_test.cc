#include "kernels/cpu/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/status/status.h"

namespace blockserve::cpu {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

uint8_t* BytesOf(const Buffer& buffer) {
  return static_cast<uint8_t*>(buffer.data());
}

bool IsZero(const Buffer& buffer) {
  const uint8_t* const bytes = BytesOf(buffer);
  return std::all_of(bytes, bytes + buffer.num_bytes(),
                     [](uint8_t byte) { return byte == 0; });
}

TEST(MemoryTest, BuffersOfEverySizeAreZeroAlignedAndApart) {
  std::vector<Buffer> buffers;
  for (const size_t num_bytes :
       {size_t{0}, size_t{1}, size_t{64}, size_t{1000}, kMiB, 3 * kMiB + 7,
        4 * kMiB, 4 * kMiB + 1, 40 * kMiB, size_t{5}}) {
    auto buffer = AllocateMemory(num_bytes);
    ASSERT_TRUE(buffer.ok()) << buffer.status();
    EXPECT_EQ(buffer->num_bytes(), num_bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0u);
    EXPECT_TRUE(IsZero(*buffer)) << num_bytes;
    buffers.push_back(*std::move(buffer));
    std::memset(BytesOf(buffers.back()), static_cast<int>(buffers.size()),
                num_bytes);
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    const uint8_t* const bytes = BytesOf(buffers[i]);
    EXPECT_TRUE(std::all_of(bytes, bytes + buffers[i].num_bytes(),
                            [i](uint8_t byte) { return byte == i + 1; }))
        << i;
  }
}

// Far more than one arena holds, and what was written before it is gone.
TEST(MemoryTest, MemoryThatComesBackIsZeroAgain) {
  for (int round = 0; round < 100; ++round) {
    auto buffer = AllocateMemory(kMiB);
    ASSERT_TRUE(buffer.ok()) << buffer.status();
    ASSERT_TRUE(IsZero(*buffer)) << round;
    std::memset(buffer->data(), 0xff, kMiB);
  }
}

TEST(MemoryTest, LargeBuffersBeginHugePages) {
  auto buffer = AllocateMemory(5 * kMiB);
  ASSERT_TRUE(buffer.ok()) << buffer.status();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % (2 * kMiB), 0u);
}

TEST(MemoryTest, MoreThanTheMachineHasIsRefused) {
  EXPECT_EQ(AllocateMemory(size_t{1} << 60).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace blockserve::cpu
