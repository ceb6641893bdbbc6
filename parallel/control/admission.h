// The leader's side of a join: is this peer a rank of the group?
#ifndef BLOCKSERVE_PARALLEL_CONTROL_ADMISSION_H_
#define BLOCKSERVE_PARALLEL_CONTROL_ADMISSION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "blockserve/group/v1/group.pb.h"
#include "parallel/control/join_proof.h"
#include "parallel/control/rank_config.h"

namespace blockserve {

// Why a peer is not let in. `reason` is for counters, `detail` for the log;
// `status` is all that the peer gets to know.
struct Refusal {
  std::string reason;
  std::string detail;
  absl::Status status;
};

// A peer without the secret learns that it is unauthenticated, whatever it did.
Refusal RefuseStranger(std::string reason, std::string detail);
// A rank that has the secret is told everything.
Refusal RefuseRank(std::string reason, absl::Status status);

// The handshake of one stream. Pure.
class Admission {
 public:
  // The answer to a Hello, or a refusal of a stranger.
  bool OnHello(const group::v1::Hello& hello, const RankConfig& config,
               group::v1::Challenge* challenge, Refusal* refusal);
  // Whether the claim is proven and fits this group. Says nothing about other
  // ranks.
  bool OnClaim(const group::v1::Claim& claim, const RankConfig& config,
               Refusal* refusal) const;
  // After OnClaim.
  group::v1::Accepted Accept(const group::v1::Claim& claim,
                             const RankConfig& config) const;

 private:
  JoinNonces nonces_;  // empty before Hello
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_ADMISSION_H_
