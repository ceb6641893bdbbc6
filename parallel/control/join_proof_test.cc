#include "parallel/control/join_proof.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/escaping.h"

namespace blockserve {
namespace {

group::v1::Claim MakeClaim() {
  group::v1::Claim claim;
  claim.set_protocol_version(kGroupProtocolVersion);
  claim.set_rank(1);
  claim.set_world_size(2);
  claim.set_model_fingerprint("model");
  claim.set_build_version("build");
  claim.set_host_id("host");
  claim.set_incarnation(7);
  claim.set_last_epoch(3);
  return claim;
}

const JoinNonces kNonces{std::string(kNonceBytes, 'm'),
                         std::string(kNonceBytes, 'l')};

// Computed with Python's hmac module over the fields as join_proof.h has them.
TEST(JoinProofTest, IsHmacSha256OfTheFields) {
  EXPECT_EQ(absl::BytesToHexString(MemberProof("secret", kNonces, MakeClaim())),
            "a623e417dfbb75ee9b8c1757b2b82a3765cf8e17f3bc4d040dc3c711689fb440");
  EXPECT_EQ(absl::BytesToHexString(LeaderProof("secret", kNonces, 1, 9)),
            "4ba42c301a08668abb4c80608f7cf2709ddc5c6dc92d393c9596b2cbe978cfc1");
}

TEST(JoinProofTest, DependsOnEveryFieldOfTheClaim) {
  using Change = std::function<void(group::v1::Claim&)>;
  const Change changes[] = {
      [](auto& claim) { claim.set_protocol_version(2); },
      [](auto& claim) { claim.set_rank(2); },
      [](auto& claim) { claim.set_world_size(3); },
      [](auto& claim) { claim.set_model_fingerprint("other"); },
      [](auto& claim) { claim.set_build_version("other"); },
      [](auto& claim) { claim.set_host_id("other"); },
      [](auto& claim) { claim.set_incarnation(8); },
      [](auto& claim) { claim.set_last_epoch(4); },
      // The same bytes in a row, divided otherwise.
      [](auto& claim) {
        claim.set_model_fingerprint("modelb");
        claim.set_build_version("uild");
      }};
  const std::string proof = MemberProof("secret", kNonces, MakeClaim());
  for (const Change& change : changes) {
    group::v1::Claim claim = MakeClaim();
    change(claim);
    EXPECT_NE(MemberProof("secret", kNonces, claim), proof)
        << claim.ShortDebugString();
  }
}

TEST(JoinProofTest, DependsOnSecretNoncesAndSide) {
  const group::v1::Claim claim = MakeClaim();
  const std::string proof = MemberProof("secret", kNonces, claim);
  EXPECT_NE(MemberProof("Secret", kNonces, claim), proof);
  EXPECT_NE(MemberProof("", kNonces, claim), proof);
  EXPECT_NE(MemberProof("secret", {kNonces.leader, kNonces.member}, claim),
            proof);
  const std::string leader = LeaderProof("secret", kNonces, 1, 7);
  EXPECT_NE(leader, proof);
  EXPECT_NE(LeaderProof("secret", kNonces, 2, 7), leader);
  EXPECT_NE(LeaderProof("secret", kNonces, 1, 8), leader);
}

TEST(JoinProofTest, ComparesWholeProofs) {
  EXPECT_TRUE(SameProof("abc", "abc"));
  EXPECT_FALSE(SameProof("abc", "abd"));
  EXPECT_FALSE(SameProof("abc", "ab"));
  EXPECT_FALSE(SameProof("", "a"));
}

}  // namespace
}  // namespace blockserve
