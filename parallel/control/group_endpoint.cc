#include "parallel/control/group_endpoint.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "parallel/control/leader_endpoint.h"
#include "parallel/control/member_endpoint.h"
#include "parallel/control/rank_config.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"

namespace blockserve {
namespace {

// A connection attempt and a handshake; short, so that a rank whose attempt
// fell into a partition is back soon after it.
constexpr absl::Duration kMaxHandshakeTimeout = absl::Milliseconds(1500);
constexpr int kBeatsPerTimeout = 8;

uint64_t SecureRandom() {
  uint64_t value = 0;
  CHECK_EQ(RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof(value)),
           1);
  return value;
}

bool IsLoopback(const std::string& host) {
  return host == "127.0.0.1" || host == "localhost" || host == "::1";
}

absl::Status CheckRank(const GroupOptions& options) {
  if (options.world_size < 1 || options.world_size > kMaxWorldSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("world size: expected one in [1, ", kMaxWorldSize,
                     "], got ", options.world_size));
  }
  if (options.rank < 0 || options.rank >= options.world_size) {
    return absl::InvalidArgumentError(absl::StrCat("rank: expected one in [0, ",
                                                   options.world_size,
                                                   "), got ", options.rank));
  }
  return absl::OkStatus();
}

absl::Status CheckSecret(const GroupOptions& options) {
  const std::string& address =
      options.rank == 0 ? options.listen_address : options.leader_address;
  ASSIGN_OR_RETURN(const ListenAddress parsed, ParseListenAddress(address));
  if (options.rank > 0 && parsed.port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("leader address: expected a port, got ", address));
  }
  if (options.secret.empty() && !IsLoopback(parsed.host)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a group needs a secret unless it is on 127.0.0.1, got none with ",
        address));
  }
  return absl::OkStatus();
}

absl::Status CheckTimes(const GroupOptions& options) {
  if (options.step_timeout < absl::Milliseconds(10) ||
      options.step_timeout > absl::Hours(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("step timeout: expected one in [10ms, 1h], got ",
                     absl::FormatDuration(options.step_timeout)));
  }
  if (options.heartbeat_interval < absl::ZeroDuration() ||
      options.heartbeat_interval > options.step_timeout / 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        "heartbeat interval: expected at most a third of the step timeout ",
        absl::FormatDuration(options.step_timeout), ", got ",
        absl::FormatDuration(options.heartbeat_interval)));
  }
  if (options.max_plans_in_flight < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("plans in flight: expected at least 1, got ",
                     options.max_plans_in_flight));
  }
  return absl::OkStatus();
}

RankConfig ToConfig(const GroupOptions& options) {
  RankConfig config;
  config.rank = options.rank;
  config.world_size = options.world_size;
  config.secret = options.secret;
  config.model_fingerprint = options.model_fingerprint;
  config.build_version = options.build_version;
  config.host_id = options.host_id;
  config.incarnation = std::max<uint64_t>(SecureRandom(), 1);
  config.step_timeout = options.step_timeout;
  config.heartbeat_interval = options.heartbeat_interval > absl::ZeroDuration()
                                  ? options.heartbeat_interval
                                  : options.step_timeout / kBeatsPerTimeout;
  config.handshake_timeout =
      std::min(kMaxHandshakeTimeout, options.step_timeout);
  config.exchange_timeout = options.exchange_timeout;
  config.max_plans_in_flight = options.max_plans_in_flight;
  config.random = SecureRandom;
  return config;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GroupEndpoint>> GroupEndpoint::Start(
    const GroupOptions& options,
    std::function<void(const absl::Status&)> on_broken) {
  RETURN_IF_ERROR(CheckRank(options));
  RETURN_IF_ERROR(CheckTimes(options));
  if (options.world_size > 1) RETURN_IF_ERROR(CheckSecret(options));
  const RankConfig config = ToConfig(options);
  if (options.rank == 0) {
    return LeaderEndpoint::Start(config, options.listen_address,
                                 std::move(on_broken));
  }
  return MemberEndpoint::Start(config, options.leader_address,
                               std::move(on_broken));
}

}  // namespace blockserve
