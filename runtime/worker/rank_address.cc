#include "runtime/worker/rank_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace blockserve {
namespace {

struct InterfaceAddress {
  std::string name;
  std::string address;
  bool is_loopback = false;
};

std::string ToText(const sockaddr* address) {
  char text[INET_ADDRSTRLEN] = "";
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
  inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
  return text;
}

// IPv4 addresses of interfaces that are up, in the system's order.
std::vector<InterfaceAddress> UpAddresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, &freeifaddrs);
  std::vector<InterfaceAddress> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET ||
        (entry->ifa_flags & IFF_UP) == 0) {
      continue;
    }
    addresses.push_back({entry->ifa_name, ToText(entry->ifa_addr),
                         (entry->ifa_flags & IFF_LOOPBACK) != 0});
  }
  return addresses;
}

}  // namespace

absl::StatusOr<std::string> AddressOfInterface(const std::string& interface) {
  std::vector<std::string> known;
  for (const InterfaceAddress& address : UpAddresses()) {
    if (interface == address.name || interface == address.address) {
      return address.address;
    }
    known.push_back(absl::StrCat(address.name, " (", address.address, ")"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "expected an interface of this host that is up, or its IPv4 address: ",
      absl::StrJoin(known, ", "), "; got \"", interface, "\""));
}

absl::StatusOr<std::string> AddressTowards(const std::string& host) {
  addrinfo hints = {};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), "9", &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("host ", host, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                             &freeaddrinfo);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in local = {};
  socklen_t length = sizeof(local);
  const bool ok =
      fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) == 0;
  const std::string why = ok ? "" : std::strerror(errno);
  if (fd >= 0) close(fd);
  if (!ok) {
    return absl::UnavailableError(
        absl::StrCat("no way to host ", host, ": ", why));
  }
  return ToText(reinterpret_cast<const sockaddr*>(&local));
}

std::string PrimaryAddress() {
  for (const InterfaceAddress& address : UpAddresses()) {
    if (!address.is_loopback) return address.address;
  }
  return "127.0.0.1";
}

}  // namespace blockserve
