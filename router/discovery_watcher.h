// Tells of workers' addresses as discovery finds them.
#ifndef BLOCKSERVE_ROUTER_DISCOVERY_WATCHER_H_
#define BLOCKSERVE_ROUTER_DISCOVERY_WATCHER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "router/discovery_source.h"

namespace blockserve {

// Polls a source on a thread of its own, since name servers may take seconds.
// The first poll is over when the constructor returns.
class DiscoveryWatcher {
 public:
  // `on_addresses` is called when the addresses differ from those told before.
  DiscoveryWatcher(std::unique_ptr<DiscoverySource> source,
                   std::function<void(std::vector<std::string>)> on_addresses);
  // Waits for a poll under way.
  ~DiscoveryWatcher();

 private:
  void Poll();

  const std::unique_ptr<DiscoverySource> source_;
  const std::function<void(std::vector<std::string>)> on_addresses_;
  std::vector<std::string> addresses_;
  std::string last_error_;
  absl::Notification stop_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_DISCOVERY_WATCHER_H_
