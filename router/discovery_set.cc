#include "router/discovery_set.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace blockserve {

DiscoverySet::Changes DiscoverySet::Update(
    const std::vector<std::string>& addresses) {
  Changes changes;
  const std::set<std::string> wanted(addresses.begin(), addresses.end());
  std::set<std::string> known;
  for (auto& [worker, member] : members_) {
    known.insert(member.address);
    const bool leaving = wanted.count(member.address) == 0;
    if (leaving == member.leaving) continue;
    member.leaving = leaving;
    (leaving ? changes.leaving : changes.returned).push_back(member);
  }
  // In the order given, so that a static list names its n-th worker-<n>.
  for (const std::string& address : addresses) {
    if (!known.insert(address).second) continue;
    const int worker = num_added_++;
    const Member member{worker, FreeId(), address};
    members_[worker] = member;
    changes.added.push_back(member);
  }
  return changes;
}

void DiscoverySet::Remove(int worker) { members_.erase(worker); }

std::string DiscoverySet::FreeId() const {
  std::set<std::string> taken;
  for (const auto& [worker, member] : members_) taken.insert(member.id);
  int n = 0;
  while (taken.count(absl::StrCat("worker-", n)) > 0) ++n;
  return absl::StrCat("worker-", n);
}

}  // namespace blockserve
