// What the sanitizers must be told by code that switches stacks. Nothing is
// called in a binary without them: the functions are weak, since the emulator
// itself is compiled without ThreadSanitizer, which would take its scheduling
// for the order of the threads that it emulates.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_SANITIZERS_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_SANITIZERS_H_

#include <cstddef>

extern "C" {
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void __tsan_acquire(void* token);
__attribute__((weak)) void __tsan_release(void* token);
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** fake_stack,
                                                          const void* bottom,
                                                          size_t size);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* fake_stack,
                                                           const void** bottom,
                                                           size_t* size);
}

namespace blockserve::cuda_host {

inline bool HasThreadSanitizer() { return __tsan_create_fiber != nullptr; }

// What happens next, happens after all that came before OrderBefore(token).
inline void OrderAfter(void* token) {
  if (HasThreadSanitizer()) __tsan_acquire(token);
}
inline void OrderBefore(void* token) {
  if (HasThreadSanitizer()) __tsan_release(token);
}

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_SANITIZERS_H_
