#include "runtime/worker/available_memory.h"

#include <filesystem>
#include <fstream>
#include <limits>

#include "gtest/gtest.h"

namespace blockserve {
namespace {

class AvailableMemoryTest : public ::testing::Test {
 protected:
  AvailableMemoryTest()
      : root_(::testing::TempDir() +
              ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(root_ + "/proc");
    std::filesystem::create_directories(root_ + "/sys/fs/cgroup/memory");
    Write("/proc/meminfo",
          "MemTotal:  2000 kB\nMemFree:  1 kB\nMemAvailable:    1000 kB\n");
  }

  void Write(const std::string& path, const std::string& text) {
    std::ofstream(root_ + path) << text;
  }

  const std::string root_;
};

TEST_F(AvailableMemoryTest, ReadsTheMachine) {
  EXPECT_EQ(AvailableMemoryBytes(root_), 1000 * 1024);
}

TEST_F(AvailableMemoryTest, KeepsToAGroupOfVersion2) {
  Write("/sys/fs/cgroup/memory.max", "max\n");
  Write("/sys/fs/cgroup/memory.current", "5000\n");
  EXPECT_EQ(AvailableMemoryBytes(root_), 1000 * 1024);
  Write("/sys/fs/cgroup/memory.max", "9000\n");
  EXPECT_EQ(AvailableMemoryBytes(root_), 4000);
}

TEST_F(AvailableMemoryTest, KeepsToAGroupOfVersion1) {
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n");
  EXPECT_EQ(AvailableMemoryBytes(root_), 6000);
}

TEST_F(AvailableMemoryTest, ThisMachineHasSome) {
  EXPECT_GT(AvailableMemoryBytes(), 1 << 20);
  EXPECT_LT(AvailableMemoryBytes(), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace blockserve
