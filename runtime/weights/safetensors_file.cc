#include "runtime/weights/safetensors_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

constexpr int64_t kMaxPrefixBytes = 8 + (16 << 20);  // length and header

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile(fd, path));
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return absl::DataLossError(absl::StrCat(path, ": expected a regular file"));
  }
  // The length first: most of a large prefix would be tensor data.
  std::string prefix(static_cast<size_t>(std::min<int64_t>(info.st_size, 8)),
                     '\0');
  RETURN_IF_ERROR(file->ReadBytes(0, absl::MakeSpan(prefix)));
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < prefix.size(); ++i) {
    header_bytes |= static_cast<uint64_t>(static_cast<uint8_t>(prefix[i]))
                    << (8 * i);
  }
  const int64_t limit = std::min<int64_t>(info.st_size, kMaxPrefixBytes);
  if (header_bytes <= static_cast<uint64_t>(std::max<int64_t>(limit - 8, 0))) {
    prefix.resize(8 + header_bytes);
    RETURN_IF_ERROR(file->ReadBytes(0, absl::MakeSpan(prefix)));
  }
  ASSIGN_OR_RETURN(file->header_,
                   ParseSafetensorsHeader(prefix, info.st_size, path));
  return file;
}

SafetensorsFile::~SafetensorsFile() { close(fd_); }

absl::Status SafetensorsFile::ReadBytes(int64_t offset,
                                        absl::Span<char> out) const {
  while (!out.empty()) {
    const ssize_t count = pread(fd_, out.data(), out.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, path_);
    if (count == 0) {
      return absl::DataLossError(absl::StrCat(path_, ": truncated: expected ",
                                              out.size(), " more bytes at ",
                                              offset));
    }
    out.remove_prefix(static_cast<size_t>(count));
    offset += count;
  }
  return absl::OkStatus();
}

}  // namespace blockserve
