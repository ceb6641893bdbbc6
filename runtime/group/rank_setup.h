// What the ranks of a group must agree on before they load.
#ifndef BLOCKSERVE_RUNTIME_GROUP_RANK_SETUP_H_
#define BLOCKSERVE_RUNTIME_GROUP_RANK_SETUP_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/model/model.h"

namespace blockserve {

// One rank's view. Of the limits the leader's count, all but num_pages.
struct RankSetup {
  std::string backend;
  std::string dtype;
  ModelLimits limits;
  std::string prefix_positions;
  int max_context = 0;     // tokens
  bool is_loaded = false;  // with limits.num_pages; else it could hold so many

  std::string ToJson() const;
};

// INVALID_ARGUMENT: expected, got, where.
absl::StatusOr<RankSetup> ParseRankSetup(const std::string& json);

// What a rank is to load with, from all ranks' JSON in rank order: the leader's
// setup with the pages that every rank can hold, or those that one is loaded
// with. FAILED_PRECONDITION, naming what differs, if `rank` cannot be part of
// that: it has to be started anew or otherwise. UNAVAILABLE if another rank
// cannot: the group has to form again when that one has come back.
absl::StatusOr<RankSetup> AgreeOnSetup(absl::Span<const std::string> setups,
                                       int rank);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GROUP_RANK_SETUP_H_
