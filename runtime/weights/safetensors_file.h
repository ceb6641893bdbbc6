// An open safetensors file.
#ifndef BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H_
#define BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/weights/safetensors_header.h"

namespace blockserve {

// Reads with pread: a mapped file that somebody truncates would end the process
// with SIGBUS, a read of it ends with a Status. Thread-safe.
class SafetensorsFile {
 public:
  // NOT_FOUND, or DATA_LOSS for a malformed file.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(
      const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }

  // Fills `out` from byte `offset` of the file. DATA_LOSS if it ends before.
  absl::Status ReadBytes(int64_t offset, absl::Span<char> out) const;

 private:
  SafetensorsFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  const int fd_;
  const std::string path_;
  SafetensorsHeader header_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H_
