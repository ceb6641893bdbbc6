// Growing, jittered waits between attempts, so that many clients of a server
// that comes back do not return in step.
#ifndef BLOCKSERVE_ROUTER_BACKOFF_H_
#define BLOCKSERVE_ROUTER_BACKOFF_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace blockserve {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(50);
  absl::Duration max = absl::Seconds(1);
};

// Not thread-safe.
class Backoff {
 public:
  explicit Backoff(const BackoffOptions& options)
      : options_(options), next_(options.initial) {}

  // The next wait, within 10% of its nominal value; the nominal value doubles.
  absl::Duration Next(uint64_t random) {
    const double unit = static_cast<double>(random >> 11) * 0x1.0p-53;
    const absl::Duration wait = next_ * (0.9 + 0.2 * unit);
    next_ = std::min(next_ * 2, options_.max);
    return wait;
  }
  void Reset() { next_ = options_.initial; }

 private:
  const BackoffOptions options_;
  absl::Duration next_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_BACKOFF_H_
