// Streams between simulated hosts: delays, cuts, late arrivals.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_NETWORK_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_NETWORK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "parallel/control/testing/event_queue.h"
#include "parallel/control/testing/simulation_random.h"

namespace blockserve {

enum class Direction { kToLeader = 0, kToMember = 1 };

// As TCP does it: messages of one direction of a link keep their order, a cut
// holds them back until it heals, and links know nothing of each other. Every
// link has a delay of its own, so that messages of different links overtake
// each other.
class SimulatedNetwork {
 public:
  using LinkId = size_t;

  SimulatedNetwork(EventQueue* events, SimulationRandom* random)
      : events_(events), random_(random) {}

  // A link between `host` and the leader's.
  LinkId AddLink(int host);
  void Send(LinkId link, Direction direction, std::function<void()> arrive);

  void Cut(int host, Direction direction);
  void Heal(int host, Direction direction);
  void HealAll();
  bool IsCut(int host, Direction direction) const {
    return cuts_.count({host, direction}) > 0;
  }

 private:
  struct Lane {
    std::deque<std::function<void()>> held;
    absl::Time last_arrival = absl::InfinitePast();
  };
  struct Link {
    int host = 0;
    absl::Duration delay;
    Lane lanes[2];
  };

  void Schedule(Link& link, Lane& lane, absl::Duration delay,
                std::function<void()> arrive);

  EventQueue* const events_;
  SimulationRandom* const random_;
  std::vector<std::unique_ptr<Link>> links_;
  std::set<std::pair<int, Direction>> cuts_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATED_NETWORK_H_
