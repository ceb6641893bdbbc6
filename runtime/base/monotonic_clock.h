// Time that never jumps: deadlines and durations are measured on it, so setting
// the system clock changes neither.
#ifndef BLOCKSERVE_RUNTIME_BASE_MONOTONIC_CLOCK_H_
#define BLOCKSERVE_RUNTIME_BASE_MONOTONIC_CLOCK_H_

#include <chrono>

#include "absl/time/time.h"

namespace blockserve {

// Time since an arbitrary epoch; compare only with other values of this
// function.
inline absl::Time MonotonicNow() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BASE_MONOTONIC_CLOCK_H_
