#include "parallel/control/admission.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

// No group lives to see this many; nothing is added to a larger number.
constexpr uint64_t kMaxEpoch = uint64_t{1} << 62;

std::string Mismatch(absl::string_view what, absl::string_view expected,
                     absl::string_view got) {
  return absl::StrCat(what, ": the leader has ", absl::CEscape(expected),
                      ", got ", absl::CEscape(got));
}

}  // namespace

Refusal RefuseStranger(std::string reason, std::string detail) {
  return {std::move(reason), std::move(detail),
          absl::UnauthenticatedError("not a rank of this group")};
}

Refusal RefuseRank(std::string reason, absl::Status status) {
  std::string detail(status.message());
  return {std::move(reason), std::move(detail), std::move(status)};
}

bool Admission::OnHello(const group::v1::Hello& hello, const RankConfig& config,
                        group::v1::Challenge* challenge, Refusal* refusal) {
  if (!nonces_.leader.empty() || hello.nonce().size() != kNonceBytes) {
    *refusal = RefuseStranger(
        "malformed", absl::StrCat("expected one hello with ", kNonceBytes,
                                  " bytes, got ", hello.nonce().size()));
    return false;
  }
  nonces_.member = hello.nonce();
  nonces_.leader = MakeNonce(config.random);
  challenge->set_nonce(nonces_.leader);
  return true;
}

bool Admission::OnClaim(const group::v1::Claim& claim, const RankConfig& config,
                        Refusal* refusal) const {
  if (nonces_.leader.empty()) {
    *refusal = RefuseStranger("malformed", "a claim before hello");
    return false;
  }
  if (!SameProof(MemberProof(config.secret, nonces_, claim), claim.proof())) {
    *refusal = RefuseStranger(
        "wrong_secret", absl::StrCat("wrong secret, or an altered or replayed "
                                     "join of rank ",
                                     claim.rank()));
    return false;
  }
  if (claim.protocol_version() != kGroupProtocolVersion) {
    *refusal =
        RefuseRank("protocol_version",
                   absl::FailedPreconditionError(Mismatch(
                       "protocol version", absl::StrCat(kGroupProtocolVersion),
                       absl::StrCat(claim.protocol_version()))));
  } else if (claim.world_size() != config.world_size) {
    *refusal = RefuseRank("world_size",
                          absl::FailedPreconditionError(Mismatch(
                              "world size", absl::StrCat(config.world_size),
                              absl::StrCat(claim.world_size()))));
  } else if (claim.rank() < 1 || claim.rank() >= config.world_size) {
    *refusal = RefuseRank("rank_range",
                          absl::InvalidArgumentError(absl::StrCat(
                              "rank: expected one in [1, ", config.world_size,
                              ") to join the leader, got ", claim.rank())));
  } else if (claim.model_fingerprint() != config.model_fingerprint) {
    *refusal = RefuseRank(
        "model", absl::FailedPreconditionError(Mismatch(
                     absl::StrCat("model fingerprint of rank ", claim.rank()),
                     config.model_fingerprint, claim.model_fingerprint())));
  } else if (claim.build_version() != config.build_version) {
    *refusal =
        RefuseRank("build_version",
                   absl::FailedPreconditionError(Mismatch(
                       absl::StrCat("build version of rank ", claim.rank()),
                       config.build_version, claim.build_version())));
  } else if (claim.incarnation() == 0 || claim.last_epoch() > kMaxEpoch) {
    *refusal = RefuseRank(
        "malformed", absl::InvalidArgumentError(absl::StrCat(
                         "incarnation ", claim.incarnation(), ", last epoch ",
                         claim.last_epoch(), ": not a rank's")));
  } else {
    return true;
  }
  return false;
}

group::v1::Accepted Admission::Accept(const group::v1::Claim& claim,
                                      const RankConfig& config) const {
  group::v1::Accepted accepted;
  accepted.set_leader_incarnation(config.incarnation);
  accepted.set_proof(
      LeaderProof(config.secret, nonces_, claim.rank(), config.incarnation));
  return accepted;
}

}  // namespace blockserve
