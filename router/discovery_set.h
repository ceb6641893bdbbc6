// Which addresses are workers now, and under which names.
#ifndef BLOCKSERVE_ROUTER_DISCOVERY_SET_H_
#define BLOCKSERVE_ROUTER_DISCOVERY_SET_H_

#include <map>
#include <string>
#include <vector>

namespace blockserve {

// Turns each list of addresses that discovery finds into what changed. A worker
// has a number, which is never used again, and a name for metrics,
// "worker-<n>", with the smallest n that is free: so names stay few however
// often addresses change. State only, no I/O; not thread-safe.
class DiscoverySet {
 public:
  struct Member {
    int worker = 0;
    std::string id;
    std::string address;
    bool leaving = false;
  };
  struct Changes {
    std::vector<Member> added;
    std::vector<Member> leaving;   // finish what they have; then call Remove
    std::vector<Member> returned;  // were leaving
  };

  // `addresses` are all there are; duplicates count once.
  Changes Update(const std::vector<std::string>& addresses);
  // A member that was leaving has gone; its name is free.
  void Remove(int worker);

  // Those that leave included.
  const std::map<int, Member>& members() const { return members_; }

 private:
  std::string FreeId() const;

  std::map<int, Member> members_;
  int num_added_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_DISCOVERY_SET_H_
