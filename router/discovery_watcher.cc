#include "router/discovery_watcher.h"

#include <glog/logging.h>

#include <utility>

#include "runtime/serving/log_line.h"

namespace blockserve {

DiscoveryWatcher::DiscoveryWatcher(
    std::unique_ptr<DiscoverySource> source,
    std::function<void(std::vector<std::string>)> on_addresses)
    : source_(std::move(source)), on_addresses_(std::move(on_addresses)) {
  Poll();
  thread_ = std::thread([this] {
    while (!stop_.WaitForNotificationWithTimeout(source_->poll_interval())) {
      Poll();
    }
  });
}

DiscoveryWatcher::~DiscoveryWatcher() {
  stop_.Notify();
  thread_.join();
}

void DiscoveryWatcher::Poll() {
  auto addresses = source_->Poll();
  if (!addresses.ok()) {
    // The same trouble at every poll is logged once.
    const std::string error = addresses.status().ToString();
    if (std::exchange(last_error_, error) == error) return;
    LOG(WARNING) << LogLine("discovery_failed",
                            {{"source", source_->description()},
                             {"error", error},
                             {"workers_kept", addresses_.size()}});
    return;
  }
  last_error_.clear();
  if (*addresses == addresses_) return;
  addresses_ = *std::move(addresses);
  LOG(INFO) << LogLine("discovery", {{"source", source_->description()},
                                     {"workers", addresses_.size()}});
  on_addresses_(addresses_);
}

}  // namespace blockserve
