// HOST:PORT of a socket to listen on, checked before a library tries it so that
// what is wrong can be named.
#ifndef BLOCKSERVE_RUNTIME_SERVING_LISTEN_ADDRESS_H_
#define BLOCKSERVE_RUNTIME_SERVING_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace blockserve {

struct ListenAddress {
  std::string host;  // name, IPv4 or IPv6 without brackets
  int port = 0;      // 0: any free one

  std::string ToString() const;  // HOST:PORT or [HOST]:PORT
};

// Accepts HOST:PORT, [IPV6]:PORT and :PORT (all interfaces); INVALID_ARGUMENT
// otherwise.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

// Whether every address that the host stands for can be listened on now:
//   UNAVAILABLE        the port is taken
//   PERMISSION_DENIED  the port is privileged
//   INVALID_ARGUMENT   the host is unknown or not of this machine
// Blocks for the name's resolution only.
absl::Status CheckListenable(const ListenAddress& address);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_LISTEN_ADDRESS_H_
