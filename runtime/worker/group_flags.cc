#include "runtime/worker/group_flags.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"
#include "runtime/worker/rank_address.h"

namespace blockserve {
namespace {

constexpr size_t kMaxSecretBytes = 4096;
constexpr size_t kMinSecretBytes = 16;
// The ranks that load last may take long; who is lost is noticed anyway.
constexpr absl::Duration kExchangeTimeout = absl::Hours(1);

using Environment = std::map<std::string, std::string>;

std::string ValueOf(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// The flag, or else the variable, or else `otherwise`.
absl::StatusOr<int> NumberOf(int flag, const Environment& environment,
                             const char* variable, int otherwise) {
  if (flag != -1) return flag;
  const std::string text = ValueOf(environment, variable);
  if (text.empty()) return otherwise;
  int value = 0;
  if (!absl::SimpleAtoi(text, &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat(variable, " must be a number, got \"", text, "\""));
  }
  return value;
}

absl::StatusOr<std::string> ReadSecret(const GroupFlags& flags,
                                       const Environment& environment) {
  std::string secret = ValueOf(environment, "BLOCKSERVE_GROUP_SECRET");
  if (!flags.secret_file.empty()) {
    ASSIGN_OR_RETURN(secret, ReadFile(flags.secret_file, kMaxSecretBytes));
  }
  // Files that people write end in a new line.
  secret = std::string(absl::StripTrailingAsciiWhitespace(secret));
  if (!secret.empty() && secret.size() < kMinSecretBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the group's secret must have at least ", kMinSecretBytes,
                     " bytes, got ", secret.size()));
  }
  return secret;
}

absl::Status CheckPlace(int rank, int world_size) {
  if (world_size < 1 || world_size > kMaxWorldSize) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--world_size must be in [1, ", kMaxWorldSize, "], got ", world_size));
  }
  if (rank < 0 || rank >= world_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--rank must be in [0, --world_size = ", world_size, "), got ", rank));
  }
  return absl::OkStatus();
}

// What is neither a place nor a secret.
absl::Status CheckRules(const GroupFlags& flags) {
  if (flags.on_group_failure != "rejoin" && flags.on_group_failure != "exit") {
    return absl::InvalidArgumentError(
        absl::StrCat("--on_group_failure must be rejoin or exit, got \"",
                     flags.on_group_failure, "\""));
  }
  constexpr absl::string_view kCollectives[] = {"auto", "shm", "gloo", "nccl"};
  if (!absl::c_linear_search(kCollectives, flags.collectives)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--collectives must be auto, shm, gloo or nccl, got \"",
                     flags.collectives, "\""));
  }
  if (flags.step_timeout < absl::Milliseconds(100) ||
      flags.step_timeout > absl::Hours(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--step_timeout must be in [100ms, 1h], got ",
                     absl::FormatDuration(flags.step_timeout)));
  }
  if (flags.group_port < 0 || flags.group_port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--group_port must be in [0, 65535], got ", flags.group_port));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LeaderAddress(const GroupFlags& flags,
                                          const Environment& environment) {
  std::string leader = flags.leader;
  if (leader.empty()) {
    const std::string host = ValueOf(environment, "LWS_LEADER_ADDRESS");
    if (!host.empty()) leader = absl::StrCat(host, ":", flags.group_port);
  }
  const absl::StatusOr<ListenAddress> parsed = ParseListenAddress(leader);
  // Without a host is good for listening only.
  if (!parsed.ok() || parsed->port == 0 || leader.front() == ':') {
    return absl::InvalidArgumentError(absl::StrCat(
        "--leader must be HOST:PORT of rank 0's --group_port, got \"", leader,
        "\""));
  }
  return leader;
}

// Where control and collectives of this rank are to be found.
absl::Status SetAddresses(const GroupFlags& flags,
                          const Environment& environment,
                          GroupRankOptions& options) {
  GroupOptions& control = options.control;
  std::string bound;
  if (!flags.bind_interface.empty()) {
    const auto address = AddressOfInterface(flags.bind_interface);
    if (!address.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--bind_interface: ", address.status().message()));
    }
    bound = *address;
  }
  if (control.rank == 0) {
    control.listen_address =
        ListenAddress{bound.empty() ? flags.host : bound, flags.group_port}
            .ToString();
    options.bind_address = !bound.empty()            ? bound
                           : flags.host == "0.0.0.0" ? PrimaryAddress()
                                                     : flags.host;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(control.leader_address, LeaderAddress(flags, environment));
  // Without a route yet, as while a cluster's names settle, the primary one.
  ASSIGN_OR_RETURN(const ListenAddress leader,
                   ParseListenAddress(control.leader_address));
  options.bind_address =
      !bound.empty() ? bound
                     : AddressTowards(leader.host).value_or(PrimaryAddress());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GroupPlace> ResolveGroup(const GroupFlags& flags,
                                        const Environment& environment) {
  GroupPlace place;
  ASSIGN_OR_RETURN(const int world_size, NumberOf(flags.world_size, environment,
                                                  "LWS_GROUP_SIZE", 1));
  ASSIGN_OR_RETURN(const int rank,
                   NumberOf(flags.rank, environment, "LWS_WORKER_INDEX", 0));
  RETURN_IF_ERROR(CheckPlace(rank, world_size));
  RETURN_IF_ERROR(CheckRules(flags));
  place.exit_on_failure = flags.on_group_failure == "exit";
  if (world_size == 1) return place;

  GroupRankOptions options;
  options.collectives = flags.collectives;
  options.control.rank = rank;
  options.control.world_size = world_size;
  options.control.step_timeout = flags.step_timeout;
  options.control.exchange_timeout = kExchangeTimeout;
  ASSIGN_OR_RETURN(options.control.secret, ReadSecret(flags, environment));
  RETURN_IF_ERROR(SetAddresses(flags, environment, options));
  place.group = std::move(options);
  return place;
}

}  // namespace blockserve
