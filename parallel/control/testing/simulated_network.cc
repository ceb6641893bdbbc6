#include "parallel/control/testing/simulated_network.h"

#include <algorithm>
#include <utility>

namespace blockserve {

SimulatedNetwork::LinkId SimulatedNetwork::AddLink(int host) {
  auto link = std::make_unique<Link>();
  link->host = host;
  const bool is_slow = random_->Chance(15);
  link->delay =
      random_->Between(absl::Microseconds(50), is_slow ? absl::Milliseconds(120)
                                                       : absl::Milliseconds(5));
  links_.push_back(std::move(link));
  return links_.size() - 1;
}

void SimulatedNetwork::Send(LinkId id, Direction direction,
                            std::function<void()> arrive) {
  Link& link = *links_[id];
  Lane& lane = link.lanes[static_cast<int>(direction)];
  if (!lane.held.empty() || IsCut(link.host, direction)) {
    lane.held.push_back(std::move(arrive));
    return;
  }
  const absl::Duration jitter =
      random_->Between(absl::ZeroDuration(), link.delay);
  Schedule(link, lane, link.delay + jitter, std::move(arrive));
}

void SimulatedNetwork::Schedule(Link& /*link*/, Lane& lane,
                                absl::Duration delay,
                                std::function<void()> arrive) {
  lane.last_arrival = std::max(lane.last_arrival, events_->now() + delay);
  events_->At(lane.last_arrival, std::move(arrive));
}

void SimulatedNetwork::Cut(int host, Direction direction) {
  cuts_.insert({host, direction});
}

void SimulatedNetwork::Heal(int host, Direction direction) {
  if (cuts_.erase({host, direction}) == 0) return;
  for (const auto& link : links_) {
    if (link->host != host) continue;
    Lane& lane = link->lanes[static_cast<int>(direction)];
    // What was held back is sent again some time after.
    const absl::Duration again =
        random_->Between(absl::ZeroDuration(), absl::Milliseconds(400));
    for (auto& arrive : std::exchange(lane.held, {})) {
      Schedule(*link, lane, again + link->delay, std::move(arrive));
    }
  }
}

void SimulatedNetwork::HealAll() {
  const auto cuts = cuts_;
  for (const auto& [host, direction] : cuts) Heal(host, direction);
}

}  // namespace blockserve
