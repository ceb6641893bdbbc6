// Where workers' addresses come from at run time.
#ifndef BLOCKSERVE_ROUTER_DISCOVERY_SOURCE_H_
#define BLOCKSERVE_ROUTER_DISCOVERY_SOURCE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace blockserve {

// Used by one thread.
class DiscoverySource {
 public:
  virtual ~DiscoverySource() = default;
  // "dns" or "file", and which.
  virtual std::string description() const = 0;
  virtual absl::Duration poll_interval() const = 0;
  // All addresses there are now, HOST:PORT each. May block. On an error the
  // addresses found before stay in force.
  virtual absl::StatusOr<std::vector<std::string>> Poll() = 0;
};

// The numeric addresses of a host name.
using HostResolver = std::function<absl::StatusOr<std::vector<std::string>>(
    const std::string& host)>;

// Asks the system's resolver.
absl::StatusOr<std::vector<std::string>> ResolveHost(const std::string& host);

// Every address of the name in `address` (HOST:PORT), as a headless service
// has one for each of its pods. A name that is not known is an error: the
// health of the workers, not an answer of a name server, says that all are
// gone.
std::unique_ptr<DiscoverySource> CreateDnsDiscovery(
    const std::string& address, absl::Duration poll_interval,
    HostResolver resolve = &ResolveHost);

// The lines of a file (see ParseWorkerFile), read anew at every poll: files
// are small, and so a replaced, renamed or remounted one is never missed.
std::unique_ptr<DiscoverySource> CreateFileDiscovery(
    const std::string& path, absl::Duration poll_interval);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_DISCOVERY_SOURCE_H_
