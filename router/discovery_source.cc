#include "router/discovery_source.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "router/worker_list.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"

namespace blockserve {
namespace {

// Room for kMaxWorkers long lines.
constexpr std::streamsize kMaxFileBytes = 1 << 18;

class DnsDiscovery : public DiscoverySource {
 public:
  DnsDiscovery(ListenAddress address, absl::Duration poll_interval,
               HostResolver resolve)
      : address_(std::move(address)),
        poll_interval_(poll_interval),
        resolve_(std::move(resolve)) {}

  std::string description() const override {
    return absl::StrCat("dns ", address_.ToString());
  }
  absl::Duration poll_interval() const override { return poll_interval_; }

  absl::StatusOr<std::vector<std::string>> Poll() override {
    ASSIGN_OR_RETURN(std::vector<std::string> hosts, resolve_(address_.host));
    // Name servers rotate their answers.
    std::sort(hosts.begin(), hosts.end());
    hosts.erase(std::unique(hosts.begin(), hosts.end()), hosts.end());
    if (hosts.empty() || hosts.size() > kMaxWorkers) {
      return absl::UnavailableError(
          absl::StrCat("1 to ", kMaxWorkers, " addresses of ", address_.host,
                       " expected, got ", hosts.size()));
    }
    std::vector<std::string> workers;
    for (const std::string& host : hosts) {
      workers.push_back(ListenAddress{host, address_.port}.ToString());
    }
    return workers;
  }

 private:
  const ListenAddress address_;
  const absl::Duration poll_interval_;
  const HostResolver resolve_;
};

class FileDiscovery : public DiscoverySource {
 public:
  FileDiscovery(std::string path, absl::Duration poll_interval)
      : path_(std::move(path)), poll_interval_(poll_interval) {}

  std::string description() const override {
    return absl::StrCat("file ", path_);
  }
  absl::Duration poll_interval() const override { return poll_interval_; }

  absl::StatusOr<std::vector<std::string>> Poll() override {
    std::ifstream file(path_, std::ios::binary);
    std::string text(kMaxFileBytes + 1, '\0');
    if (!file.read(text.data(), kMaxFileBytes + 1) && !file.eof()) {
      return absl::NotFoundError(
          absl::StrCat(path_, ": cannot be read: ", std::strerror(errno)));
    }
    if (file.gcount() > kMaxFileBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": at most ", kMaxFileBytes, " bytes expected"));
    }
    text.resize(file.gcount());
    auto workers = ParseWorkerFile(text);
    if (!workers.ok()) {
      return absl::Status(
          workers.status().code(),
          absl::StrCat(path_, ": ", workers.status().message()));
    }
    return workers;
  }

 private:
  const std::string path_;
  const absl::Duration poll_interval_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ResolveHost(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // A pod with addresses of both kinds is one worker: IPv6 only if there is no
  // IPv4.
  hints.ai_family = AF_INET;
  int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    hints.ai_family = AF_INET6;
    error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  }
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat(host, ": cannot be resolved: ", gai_strerror(error)));
  }
  std::vector<std::string> addresses;
  for (const addrinfo* it = found; it != nullptr; it = it->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(it->ai_addr, it->ai_addrlen, text, sizeof(text), nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text);
    }
  }
  freeaddrinfo(found);
  return addresses;
}

std::unique_ptr<DiscoverySource> CreateDnsDiscovery(
    const std::string& address, absl::Duration poll_interval,
    HostResolver resolve) {
  // Checked where the address was read.
  return std::make_unique<DnsDiscovery>(*ParseListenAddress(address),
                                        poll_interval, std::move(resolve));
}

std::unique_ptr<DiscoverySource> CreateFileDiscovery(
    const std::string& path, absl::Duration poll_interval) {
  return std::make_unique<FileDiscovery>(path, poll_interval);
}

}  // namespace blockserve
