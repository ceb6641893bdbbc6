#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {
class MemoryConformance : public OpsConformanceTest {};

TEST_P(MemoryConformance, AllocatesZeroedAlignedMemory) {
  for (const size_t num_bytes : {1, 63, 64, 1000, 1 << 20}) {
    absl::StatusOr<Buffer> buffer = ops().Allocate(num_bytes);
    ASSERT_TRUE(buffer.ok()) << buffer.status();
    EXPECT_EQ(buffer->num_bytes(), num_bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0u);
    const std::vector<uint8_t> bytes = ReadBytes(buffer->data(), num_bytes);
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0),
              static_cast<int64_t>(num_bytes));
  }
}

TEST_P(MemoryConformance, CopiesThereAndBack) {
  std::vector<uint8_t> bytes(12345);
  std::iota(bytes.begin(), bytes.end(), 0);
  absl::StatusOr<Buffer> buffer = ops().Allocate(bytes.size());
  ASSERT_TRUE(buffer.ok());
  ops().CopyToDevice(bytes.data(), buffer->data(), bytes.size());
  EXPECT_EQ(ReadBytes(buffer->data(), bytes.size()), bytes);
}

// Sanitizers end the process where malloc returns null.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_P(MemoryConformance, SaysSoWhenMemoryIsNotEnough) {
  for (const size_t num_bytes : {size_t{1} << 60, SIZE_MAX}) {
    EXPECT_EQ(ops().Allocate(num_bytes).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}
#endif

TEST_P(MemoryConformance, DescribesItself) {
  EXPECT_FALSE(ops().name().empty());
  EXPECT_NE(ops().Describe().find(NameOf(dtype())), std::string::npos)
      << ops().Describe();
}

TEST_P(MemoryConformance, PadsNoRowAway) {
  for (int64_t rows = 0; rows <= 300; ++rows) {
    EXPECT_GE(ops().PaddedRows(rows), rows);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, MemoryConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
