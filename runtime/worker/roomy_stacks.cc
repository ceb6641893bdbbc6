// Stands before glibc's function of the name in binaries that link cuBLASLt.
//
// A thread's stack also holds the thread-local memory of all libraries, of
// which cuBLASLt 13 has 92 KiB; civetweb asks for stacks of 100 KiB, and its
// server of metrics would not start.
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <cstddef>

namespace {
constexpr size_t kRoomForThreadLocals = 512 << 10;
}  // namespace

extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes,
                                         size_t num_bytes) noexcept {
  using Function = int (*)(pthread_attr_t*, size_t);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  return next == nullptr ? EINVAL
                         : next(attributes, num_bytes + kRoomForThreadLocals);
}
