// Finds the first of several stop strings in a text that comes byte by byte
// (Aho and Corasick, 1975).
#ifndef BLOCKSERVE_RUNTIME_TEXT_STOP_MATCHER_H_
#define BLOCKSERVE_RUNTIME_TEXT_STOP_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace blockserve {

// Memory and set-up time are linear in the total length of the strings, and a
// byte takes constant time on average, however many strings there are.
// Not thread-safe.
class StopMatcher {
 public:
  // Empty strings are ignored, and so are those that are not valid UTF-8: no
  // text has them, though some of its bytes might look so.
  explicit StopMatcher(const std::vector<std::string>& stops);

  // Takes the next byte. Returns the index of the stop string that ends with
  // it, the longest if several do, or -1.
  int Push(uint8_t byte);

  // Length of the longest suffix of what was pushed that is a beginning of a
  // stop string: what may still become one.
  size_t num_pending() const { return nodes_[state_].depth; }

 private:
  struct Node {
    size_t depth;     // length of the string that leads here from the root
    int stop;         // the longest stop string that ends here, or -1
    uint32_t suffix;  // node of the longest true suffix that is in the trie
  };

  uint32_t FindNext(uint32_t node, uint8_t byte) const;
  void LinkSuffixes();

  std::vector<Node> nodes_;
  absl::flat_hash_map<uint64_t, uint32_t> edges_;  // node << 8 | byte
  uint32_t state_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TEXT_STOP_MATCHER_H_
