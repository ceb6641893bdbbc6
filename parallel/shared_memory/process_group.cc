#include "parallel/shared_memory/process_group.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "parallel/shared_memory/region.h"
#include "parallel/shared_memory/region_communicator.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// What rank 0 tells of its segment: the key, then the name.
struct SegmentName {
  RegionKey key = {};
  std::string name;

  std::string ToBlob() const {
    return std::string(reinterpret_cast<const char*>(key.data()), sizeof(key)) +
           name;
  }
  static absl::StatusOr<SegmentName> FromBlob(const std::string& blob) {
    SegmentName segment;
    if (blob.size() <= sizeof(segment.key)) {
      return absl::FailedPreconditionError(
          "rank 0 could not make a segment of shared memory");
    }
    std::memcpy(segment.key.data(), blob.data(), sizeof(segment.key));
    segment.name = blob.substr(sizeof(segment.key));
    return segment;
  }
};

SegmentName DrawName() {
  std::random_device device;
  SegmentName segment;
  for (uint64_t& word : segment.key) {
    word = static_cast<uint64_t>(device()) << 32 | device();
  }
  segment.name = absl::StrFormat("/blockserve-%016x%08x", segment.key[0],
                                 static_cast<uint32_t>(device()));
  return segment;
}

absl::Status ErrnoStatus(int error, const char* doing,
                         const std::string& name) {
  const std::string message =
      absl::StrCat(doing, " shared memory ", name, ": ", std::strerror(error));
  return error == ENOSPC || error == ENOMEM
             ? absl::ResourceExhaustedError(message)
             : absl::FailedPreconditionError(message);
}

// Closes a descriptor when it goes.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::StatusOr<std::shared_ptr<void>> Map(const Descriptor& descriptor,
                                          size_t num_bytes,
                                          const std::string& name) {
  void* const memory = mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED, descriptor.get(), 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mapping", name);
  return std::shared_ptr<void>(
      memory, [num_bytes](void* pages) { munmap(pages, num_bytes); });
}

absl::StatusOr<std::shared_ptr<void>> MakeSegment(const std::string& name,
                                                  size_t num_bytes) {
  const Descriptor descriptor(
      shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  if (descriptor.get() < 0) return ErrnoStatus(errno, "making", name);
  // Takes the pages now: a full /dev/shm is an error here and a SIGBUS later.
  const int error =
      posix_fallocate(descriptor.get(), 0, static_cast<off_t>(num_bytes));
  if (error != 0) return ErrnoStatus(error, "sizing", name);
  return Map(descriptor, num_bytes, name);
}

absl::StatusOr<std::shared_ptr<void>> OpenSegment(const std::string& name,
                                                  size_t num_bytes) {
  const Descriptor descriptor(shm_open(name.c_str(), O_RDWR, 0));
  if (descriptor.get() < 0) return ErrnoStatus(errno, "opening", name);
  struct stat info;
  if (fstat(descriptor.get(), &info) != 0 ||
      info.st_size != static_cast<off_t>(num_bytes)) {
    return absl::FailedPreconditionError(
        absl::StrCat("shared memory ", name, ": expected ", num_bytes,
                     " bytes, got ", info.st_size));
  }
  return Map(descriptor, num_bytes, name);
}

struct Attached {
  std::shared_ptr<void> memory;
  Region region;
};

absl::StatusOr<Attached> Attach(int rank, int size, size_t max_bytes,
                                const SegmentName& segment) {
  const size_t num_bytes = Region::NumBytes(size, max_bytes);
  Attached attached;
  if (rank == 0) {
    ASSIGN_OR_RETURN(attached.memory, MakeSegment(segment.name, num_bytes));
    attached.region =
        Region::Format(attached.memory.get(), size, max_bytes, segment.key);
    return attached;
  }
  ASSIGN_OR_RETURN(attached.memory, OpenSegment(segment.name, num_bytes));
  ASSIGN_OR_RETURN(attached.region, Region::Open(attached.memory.get(), size,
                                                 max_bytes, segment.key));
  return attached;
}

// The first complaint of a rank, for all of them.
absl::Status CheckAllAttached(const std::vector<std::string>& complaints) {
  for (size_t rank = 0; rank < complaints.size(); ++rank) {
    if (complaints[rank].empty()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("rank ", rank, ": ", complaints[rank]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> CreateShmCommunicator(
    int rank, int size, const CommunicatorLimits& limits,
    const BlobExchange& exchange) {
  SegmentName segment;
  absl::StatusOr<Attached> attached = absl::UnknownError("not attached");
  if (rank == 0) {
    segment = DrawName();
    attached = Attach(rank, size, limits.max_bytes, segment);
  }
  const auto names = exchange(attached.ok() ? segment.ToBlob() : "");
  absl::StatusOr<std::vector<std::string>> complaints = names;
  if (names.ok()) {
    if (rank > 0) {
      const auto named = SegmentName::FromBlob(names->front());
      attached = named.ok() ? Attach(rank, size, limits.max_bytes, *named)
                            : named.status();
    }
    // Everybody has opened the segment, or given it up.
    complaints = exchange(std::string(attached.status().message()));
  }
  if (rank == 0) shm_unlink(segment.name.c_str());
  RETURN_IF_ERROR(attached.status());
  RETURN_IF_ERROR(complaints.status());
  RETURN_IF_ERROR(CheckAllAttached(*complaints));
  return std::make_unique<RegionCommunicator>(
      "shm", rank, attached->region, std::move(attached->memory), limits);
}

}  // namespace blockserve
