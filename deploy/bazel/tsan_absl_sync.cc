// Lets ThreadSanitizer see Abseil's locks (--config=tsan; empty otherwise).
//
// Debian's libraries are not instrumented, and absl::Mutex waits on futexes of
// its own: to ThreadSanitizer, threads that hand data over under such a lock
// have nothing to do with each other, and all of it looks like races. These
// definitions come before the library's, tell ThreadSanitizer what happens
// before what, and call on. gRPC's own locks are absl::Mutex as well.
//
// A condition (Await, LockWhen) is evaluated before the lock is told of; code
// under test waits with absl::CondVar or absl::Notification.
#if defined(__SANITIZE_THREAD__)

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <cstdlib>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

// The library's definition of a function that is also defined here.
template <typename Function>
class Next {
 public:
  explicit constexpr Next(const char* symbol) : symbol_(symbol) {}

  template <typename... Args>
  auto operator()(Args... args) {
    void* function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = dlsym(RTLD_NEXT, symbol_);
      if (function == nullptr) abort();
      function_.store(function, std::memory_order_relaxed);
    }
    return reinterpret_cast<Function*>(function)(args...);
  }

 private:
  const char* const symbol_;
  std::atomic<void*> function_ = nullptr;
};

#define ABSL_SYMBOL(name) "_ZN4absl7debian3" name
#define ABSL_CONST_SYMBOL(name) "_ZNK4absl7debian3" name

// The order of locks is checked by ThreadSanitizer's own means.
__attribute__((constructor)) void IgnoreDeadlockCycles() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace

// gRPC's threads hand calls to each other by atomics, too, which are not seen
// where they are inside the library. Named here are functions of its headers in
// which no code of ours runs.
extern "C" const char* __tsan_default_suppressions() {
  return "race:grpc::internal::CallbackWithSuccessTag::Set\n"
         "race:grpc::internal::CallbackWithSuccessTag::Clear\n"
         "race:grpc::internal::CallOpSet*::CallOpSet\n"
         "race:grpc::internal::CallOpSet*::FillOps\n"
         "race:grpc::internal::CallOpSet*::FinalizeResult\n"
         "race:Impl::~ServerCallback\n"
         "race_top:grpc::ServerUnaryReactor::~ServerUnaryReactor\n"
         "race_top:grpc::ServerWriteReactor*::~ServerWriteReactor\n"
         "race_top:*::SetupReactor*operator()\n"
         "race:Impl::~ClientCallback\n";
}

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static constinit Next<void(Mutex*)> next(ABSL_SYMBOL("5Mutex4LockEv"));
  next(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static constinit Next<void(Mutex*)> next(ABSL_SYMBOL("5Mutex6UnlockEv"));
  __tsan_release(this);
  next(this);
}

bool Mutex::TryLock() {
  static constinit Next<bool(Mutex*)> next(ABSL_SYMBOL("5Mutex7TryLockEv"));
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderLock() {
  static constinit Next<void(Mutex*)> next(ABSL_SYMBOL("5Mutex10ReaderLockEv"));
  next(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static constinit Next<void(Mutex*)> next(
      ABSL_SYMBOL("5Mutex12ReaderUnlockEv"));
  __tsan_release(this);
  next(this);
}

void Mutex::Await(const Condition& condition) {
  static constinit Next<void(Mutex*, const Condition*)> next(
      ABSL_SYMBOL("5Mutex5AwaitERKNS0_9ConditionE"));
  __tsan_release(this);
  next(this, &condition);
  __tsan_acquire(this);
}

void Mutex::LockWhen(const Condition& condition) {
  static constinit Next<void(Mutex*, const Condition*)> next(
      ABSL_SYMBOL("5Mutex8LockWhenERKNS0_9ConditionE"));
  next(this, &condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static constinit Next<bool(Mutex*, const Condition*, Duration)> next(
      ABSL_SYMBOL("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE"));
  __tsan_release(this);
  const bool held = next(this, &condition, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static constinit Next<bool(Mutex*, const Condition*, Time)> next(
      ABSL_SYMBOL("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE"));
  __tsan_release(this);
  const bool held = next(this, &condition, deadline);
  __tsan_acquire(this);
  return held;
}

void CondVar::Wait(Mutex* mutex) {
  static constinit Next<void(CondVar*, Mutex*)> next(
      ABSL_SYMBOL("7CondVar4WaitEPNS0_5MutexE"));
  __tsan_release(mutex);
  next(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static constinit Next<bool(CondVar*, Mutex*, Duration)> next(
      ABSL_SYMBOL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE"));
  __tsan_release(mutex);
  const bool timed_out = next(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static constinit Next<bool(CondVar*, Mutex*, Time)> next(
      ABSL_SYMBOL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE"));
  __tsan_release(mutex);
  const bool timed_out = next(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

// HasBeenNotified is inline and acquires what was released at the flag.

void Notification::Notify() {
  static constinit Next<void(Notification*)> next(
      ABSL_SYMBOL("12Notification6NotifyEv"));
  __tsan_release(&notified_yet_);
  next(this);
}

void Notification::WaitForNotification() const {
  static constinit Next<void(const Notification*)> next(
      ABSL_CONST_SYMBOL("12Notification19WaitForNotificationEv"));
  next(this);
  HasBeenNotifiedInternal(&notified_yet_);
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static constinit Next<bool(const Notification*, Duration)> next(
      ABSL_CONST_SYMBOL("12Notification30WaitForNotificationWithTimeoutENS0_"
                        "8DurationE"));
  return next(this, timeout) && HasBeenNotifiedInternal(&notified_yet_);
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  static constinit Next<bool(const Notification*, Time)> next(
      ABSL_CONST_SYMBOL("12Notification31WaitForNotificationWithDeadlineENS0_"
                        "4TimeE"));
  return next(this, deadline) && HasBeenNotifiedInternal(&notified_yet_);
}

ABSL_NAMESPACE_END
}  // namespace absl

#endif  // __SANITIZE_THREAD__
