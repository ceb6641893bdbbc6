#include "runtime/worker/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

namespace blockserve {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// The number a file starts with; none if it has no number ("max").
std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

int64_t MemAvailable(const std::string& path) {
  std::ifstream file(path);
  std::string name;
  while (file >> name) {
    int64_t kilobytes = 0;
    if (name == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kUnlimited;
}

int64_t LeftInGroup(const std::string& limit_path,
                    const std::string& usage_path) {
  const std::optional<int64_t> limit = ReadNumber(limit_path);
  if (!limit.has_value()) return kUnlimited;
  return *limit - ReadNumber(usage_path).value_or(0);
}

}  // namespace

int64_t AvailableMemoryBytes(const std::string& root) {
  const std::string group = root + "/sys/fs/cgroup/";
  return std::min({
      MemAvailable(root + "/proc/meminfo"),
      LeftInGroup(group + "memory.max", group + "memory.current"),
      LeftInGroup(group + "memory/memory.limit_in_bytes",
                  group + "memory/memory.usage_in_bytes"),
  });
}

}  // namespace blockserve
