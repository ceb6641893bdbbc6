#include "parallel/nccl/unique_id.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "parallel/nccl/nvidia_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// What a rank's blob begins with.
constexpr char kGoesOn = '+';     // and, from rank 0, the id
constexpr char kComplains = '-';  // and why

absl::StatusOr<ncclUniqueId> ReadBlobs(const std::vector<std::string>& blobs) {
  for (size_t rank = 0; rank < blobs.size(); ++rank) {
    if (!blobs[rank].empty() && blobs[rank][0] == kGoesOn) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "nccl: rank ", rank, " cannot go on: ",
        blobs[rank].empty() ? "it says nothing" : blobs[rank].substr(1)));
  }
  ncclUniqueId id;
  const size_t num_bytes = blobs[0].size() - 1;
  if (num_bytes != sizeof(id.internal)) {
    return absl::FailedPreconditionError(
        absl::StrCat("nccl: expected a unique id of ", sizeof(id.internal),
                     " bytes from rank 0, got ", num_bytes));
  }
  std::memcpy(id.internal, blobs[0].data() + 1, num_bytes);
  return id;
}

}  // namespace

absl::StatusOr<ncclUniqueId> ExchangeUniqueId(int rank, absl::Status ready,
                                              const BlobExchange& exchange) {
  std::string mine(1, kGoesOn);
  if (ready.ok() && rank == 0) {
    ncclUniqueId id;
    ready = ToStatus(ncclGetUniqueId(&id), "drawing a unique id");
    mine.append(id.internal, sizeof(id.internal));
  }
  if (!ready.ok()) {
    mine = absl::StrCat(std::string(1, kComplains), ready.message());
  }
  const auto blobs = exchange(mine);
  RETURN_IF_ERROR(ready);
  RETURN_IF_ERROR(blobs.status());
  return ReadBlobs(*blobs);
}

}  // namespace blockserve
