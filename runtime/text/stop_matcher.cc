#include "runtime/text/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "runtime/base/utf8.h"

namespace blockserve {
namespace {

constexpr uint32_t kRoot = 0;

uint64_t EdgeKey(uint32_t node, uint8_t byte) {
  return uint64_t{node} << 8 | byte;
}

}  // namespace

StopMatcher::StopMatcher(const std::vector<std::string>& stops)
    : nodes_{{0, -1, kRoot}} {
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty() || !IsValidUtf8(stops[i])) continue;
    uint32_t node = kRoot;
    for (char c : stops[i]) {
      const uint32_t new_node = static_cast<uint32_t>(nodes_.size());
      const auto [edge, inserted] =
          edges_.try_emplace(EdgeKey(node, static_cast<uint8_t>(c)), new_node);
      if (inserted) nodes_.push_back({nodes_[node].depth + 1, -1, kRoot});
      node = edge->second;
    }
    if (nodes_[node].stop < 0) nodes_[node].stop = static_cast<int>(i);
  }
  LinkSuffixes();
}

void StopMatcher::LinkSuffixes() {
  // Shorter strings first: a node's suffix is shorter than the node.
  std::vector<std::pair<uint64_t, uint32_t>> edges(edges_.begin(),
                                                   edges_.end());
  std::sort(edges.begin(), edges.end(), [&](const auto& a, const auto& b) {
    return nodes_[a.second].depth < nodes_[b.second].depth;
  });
  for (const auto& [key, node] : edges) {
    const uint32_t parent = static_cast<uint32_t>(key >> 8);
    if (parent != kRoot) {
      nodes_[node].suffix =
          FindNext(nodes_[parent].suffix, static_cast<uint8_t>(key));
    }
    if (nodes_[node].stop < 0) {
      nodes_[node].stop = nodes_[nodes_[node].suffix].stop;
    }
  }
}

uint32_t StopMatcher::FindNext(uint32_t node, uint8_t byte) const {
  while (true) {
    const auto edge = edges_.find(EdgeKey(node, byte));
    if (edge != edges_.end()) return edge->second;
    if (node == kRoot) return kRoot;
    node = nodes_[node].suffix;
  }
}

int StopMatcher::Push(uint8_t byte) {
  state_ = FindNext(state_, byte);
  return nodes_[state_].stop;
}

}  // namespace blockserve
