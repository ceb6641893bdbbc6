#include "parallel/gloo/own_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace blockserve {

absl::Status CheckOwnAddress(const std::string& address) {
  sockaddr_in own = {};
  own.sin_family = AF_INET;
  if (inet_pton(AF_INET, address.c_str(), &own.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an IPv4 address, got \"", address, "\""));
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return absl::UnavailableError(
        absl::StrCat("making a socket: ", std::strerror(errno)));
  }
  const int bound =
      bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof(own));
  const int error = errno;
  close(fd);
  if (bound == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "this host cannot be bound to ", address, ": ", std::strerror(error)));
}

}  // namespace blockserve
