#include "parallel/control/join_proof.h"

#include <glog/logging.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace blockserve {
namespace {

void AppendNumber(uint64_t value, std::string& out) {
  for (int shift = 0; shift < 64; shift += 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

void AppendField(absl::string_view field, std::string& out) {
  AppendNumber(field.size(), out);
  out.append(field.data(), field.size());
}

std::string Hmac(absl::string_view secret, const std::string& message) {
  // OpenSSL takes no null pointer for a key, not even for an empty one.
  const char* key = secret.empty() ? "" : secret.data();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(HMAC(EVP_sha256(), key, static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(message.data()),
             message.size(), digest, &size) != nullptr);
  return std::string(reinterpret_cast<const char*>(digest), size);
}

}  // namespace

std::string MakeNonce(const std::function<uint64_t()>& random) {
  std::string nonce;
  while (nonce.size() < kNonceBytes) AppendNumber(random(), nonce);
  return nonce;
}

std::string MemberProof(absl::string_view secret, const JoinNonces& nonces,
                        const group::v1::Claim& claim) {
  std::string message;
  AppendField("blockserve group member", message);
  AppendField(nonces.member, message);
  AppendField(nonces.leader, message);
  AppendNumber(static_cast<uint64_t>(claim.protocol_version()), message);
  AppendNumber(static_cast<uint64_t>(claim.rank()), message);
  AppendNumber(static_cast<uint64_t>(claim.world_size()), message);
  AppendField(claim.model_fingerprint(), message);
  AppendField(claim.build_version(), message);
  AppendField(claim.host_id(), message);
  AppendNumber(claim.incarnation(), message);
  AppendNumber(claim.last_epoch(), message);
  return Hmac(secret, message);
}

std::string LeaderProof(absl::string_view secret, const JoinNonces& nonces,
                        int rank, uint64_t leader_incarnation) {
  std::string message;
  AppendField("blockserve group leader", message);
  AppendField(nonces.member, message);
  AppendField(nonces.leader, message);
  AppendNumber(kGroupProtocolVersion, message);
  AppendNumber(static_cast<uint64_t>(rank), message);
  AppendNumber(leader_incarnation, message);
  return Hmac(secret, message);
}

bool SameProof(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace blockserve
