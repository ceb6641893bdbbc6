// Proofs that the two sides of a join have the group's secret, which never
// travels.
//
// Each side's proof is HMAC-SHA256 under the secret over a label for the side,
// both sides' nonces and what the side claims, every field behind its length.
// So neither a recorded join nor the other side's own proof can be played
// back, and no claim can be changed on its way.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_JOIN_PROOF_H_
#define BLOCKSERVE_PARALLEL_CONTROL_JOIN_PROOF_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "blockserve/group/v1/group.pb.h"

namespace blockserve {

inline constexpr int kGroupProtocolVersion = 1;
inline constexpr size_t kNonceBytes = 32;

struct JoinNonces {
  std::string member;
  std::string leader;
};

std::string MakeNonce(const std::function<uint64_t()>& random);

// Of `claim` without its field `proof`.
std::string MemberProof(absl::string_view secret, const JoinNonces& nonces,
                        const group::v1::Claim& claim);
std::string LeaderProof(absl::string_view secret, const JoinNonces& nonces,
                        int rank, uint64_t leader_incarnation);

// In time that depends on the lengths only.
bool SameProof(absl::string_view a, absl::string_view b);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_JOIN_PROOF_H_
