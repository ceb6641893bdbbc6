#include "runtime/serving/listen_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

// The errno of binding and listening as a server would, 0 if it works.
int TryListen(const addrinfo& info) {
  const int fd =
      socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC, info.ai_protocol);
  if (fd < 0) return errno;
  const int on = 1;
  // Without it a port in TIME_WAIT would look taken.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  int error = 0;
  if (bind(fd, info.ai_addr, info.ai_addrlen) != 0 || listen(fd, 1) != 0) {
    error = errno;
  }
  close(fd);
  return error;
}

absl::Status ListenError(const ListenAddress& address, int error) {
  switch (error) {
    case EADDRINUSE:
      return absl::UnavailableError(absl::StrCat(
          "port ", address.port, " is already in use (", address.ToString(),
          "): stop what listens there or choose another port"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat("not allowed to listen on ", address.ToString(), ": ",
                       strerror(error)));
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot listen on ", address.ToString(), ": ", strerror(error)));
  }
}

}  // namespace

std::string ListenAddress::ToString() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return is_ipv6 ? absl::StrCat("[", host, "]:", port)
                 : absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const auto error = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected HOST:PORT with a port in [0, 65535], got \"", text, "\""));
  };
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return error();
  absl::string_view host = text.substr(0, colon);
  const absl::string_view port_text = text.substr(colon + 1);
  ListenAddress address;
  if (!absl::SimpleAtoi(port_text, &address.port) || address.port < 0 ||
      address.port > 65535) {
    return error();
  }
  if (host.empty()) host = "0.0.0.0";
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return error();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != absl::string_view::npos) {
    return error();  // IPv6 needs brackets
  }
  address.host = std::string(host);
  return address;
}

absl::Status CheckListenable(const ListenAddress& address) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(),
                      &hints, &found);
      error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resolve host \"", address.host, "\" of ",
                     address.ToString(), ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                             freeaddrinfo);
  // "localhost" is also ::1, which a machine without IPv6 cannot bind; a port
  // that is taken on one of the addresses is taken.
  int first_error = 0;
  bool listens = false;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    const int error = TryListen(*info);
    if (error == EADDRINUSE) return ListenError(address, error);
    if (error == 0) listens = true;
    if (first_error == 0) first_error = error;
  }
  return listens ? absl::OkStatus() : ListenError(address, first_error);
}

}  // namespace blockserve
