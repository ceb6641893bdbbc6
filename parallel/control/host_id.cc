#include "parallel/control/host_id.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

constexpr char kBootId[] = "/proc/sys/kernel/random/boot_id";
constexpr char kNetworkNamespace[] = "/proc/self/ns/net";
constexpr char kSharedMemory[] = "/dev/shm";

absl::StatusOr<struct stat> Stat(const char* path) {
  struct stat info;
  if (stat(path, &info) != 0) return absl::ErrnoToStatus(errno, path);
  return info;
}

}  // namespace

absl::StatusOr<std::string> LocalHostId() {
  ASSIGN_OR_RETURN(const std::string boot_id, ReadFile(kBootId, 4096));
  ASSIGN_OR_RETURN(const struct stat network, Stat(kNetworkNamespace));
  ASSIGN_OR_RETURN(const struct stat memory, Stat(kSharedMemory));
  return absl::StrCat(absl::StripSuffix(boot_id, "\n"), "/net:", network.st_ino,
                      "/shm:", memory.st_dev);
}

}  // namespace blockserve
