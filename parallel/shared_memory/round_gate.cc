#include "parallel/shared_memory/round_gate.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

using Clock = std::chrono::steady_clock;

// How often a rank that waits for one peer looks whether another has left.
constexpr std::chrono::milliseconds kLookAround(10);

// A core's worth of a futex's sleep and wake.
constexpr absl::Duration kSpin = absl::Microseconds(20);

void PauseCore() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Not the _PRIVATE forms: the word may be shared between processes.
void FutexWait(std::atomic<uint32_t>& word, uint32_t expected,
               std::chrono::nanoseconds timeout) {
  const auto count = timeout.count();
  const timespec relative = {static_cast<time_t>(count / 1'000'000'000),
                             static_cast<long>(count % 1'000'000'000)};
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, &relative, nullptr, 0);
}

void FutexWakeAll(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

uint64_t Encode(const CallCode& call) {
  return static_cast<uint64_t>(call.op) |
         static_cast<uint64_t>(call.root) << 8 |
         static_cast<uint64_t>(call.num_bytes) << 16;
}

std::string NameOfCall(uint64_t code) {
  return absl::StrCat(
      std::string(NameOf(static_cast<CollectiveOp>(code & 0xff))), " of ",
      code >> 16, " bytes from root ", (code >> 8) & 0xff);
}

}  // namespace

absl::Duration SpinFor(int size) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) {
    return absl::ZeroDuration();
  }
  return size <= CPU_COUNT(&cores) ? kSpin : absl::ZeroDuration();
}

RoundGate::RoundGate(const Region& region, int rank, absl::Duration timeout,
                     absl::Duration spin)
    : region_(region),
      rank_(rank),
      timeout_(absl::ToChronoNanoseconds(timeout)),
      spin_(absl::ToChronoNanoseconds(spin)) {}

RoundGate::~RoundGate() {
  std::atomic<uint32_t>& state = region_.slot(rank_).state;
  state.fetch_or(kRankLeft);
  FutexWakeAll(state);
}

absl::Status RoundGate::Pass(const CallCode& call) {
  const uint64_t code = Encode(call);
  RankSlot& own = region_.slot(rank_);
  own.calls[round_ % 2].store(code, std::memory_order_relaxed);
  // Sequentially consistent with the waiters' count and look in Await: either
  // the waiter sees this round or its count is seen here.
  own.state.fetch_add(kRoundUnit);
  if (own.num_waiters.load() > 0) FutexWakeAll(own.state);

  for (int peer = 0; peer < region_.size(); ++peer) {
    if (peer == rank_) continue;
    if (absl::Status status = Await(peer); !status.ok()) return status;
    if (absl::Status status = CheckSameCall(peer, code); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// A peer is at most a round ahead or behind.
bool RoundGate::HasCome(uint32_t state) const {
  return static_cast<int32_t>((state & ~(kRoundUnit - 1)) -
                              round_ * kRoundUnit) >= 0;
}

absl::Status RoundGate::Await(int peer) const {
  RankSlot& slot = region_.slot(peer);
  uint32_t state = slot.state.load(std::memory_order_acquire);
  if (HasCome(state)) return absl::OkStatus();

  const Clock::time_point begin = Clock::now();
  Clock::time_point now = begin;
  const auto goes_on = [&] {
    return !HasCome(state) && (state & (kGroupBroken | kRankLeft)) == 0;
  };
  while (goes_on() && now - begin < spin_) {
    PauseCore();
    state = slot.state.load(std::memory_order_acquire);
    now = Clock::now();
  }
  while (goes_on() && now - begin < timeout_) {
    slot.num_waiters.fetch_add(1);
    state = slot.state.load();
    if (goes_on()) {
      FutexWait(slot.state, state,
                std::min<std::chrono::nanoseconds>(timeout_ - (now - begin),
                                                   kLookAround));
    }
    slot.num_waiters.fetch_sub(1);
    state = slot.state.load(std::memory_order_acquire);
    now = Clock::now();
    if (goes_on()) {
      if (absl::Status status = CheckNobodyLeft(); !status.ok()) return status;
    }
  }
  if (HasCome(state)) return absl::OkStatus();
  return GoneError(peer, state);
}

absl::Status RoundGate::CheckNobodyLeft() const {
  for (int peer = 0; peer < region_.size(); ++peer) {
    const uint32_t state = region_.slot(peer).state.load();
    if ((state & kRankLeft) != 0 && !HasCome(state)) {
      return GoneError(peer, state);
    }
  }
  return absl::OkStatus();
}

absl::Status RoundGate::GoneError(int peer, uint32_t state) const {
  if (state & kGroupBroken) {
    return absl::UnavailableError(
        absl::StrCat("rank ", region_.broken_by().load() - 1, " has given up"));
  }
  if (state & kRankLeft) {
    return absl::UnavailableError(absl::StrCat("rank ", peer, " has left"));
  }
  return absl::DeadlineExceededError(
      absl::StrCat("rank ", peer, " did not come within ",
                   absl::FormatDuration(absl::FromChrono(timeout_))));
}

absl::Status RoundGate::CheckSameCall(int peer, uint64_t call) const {
  const uint64_t theirs =
      region_.slot(peer).calls[round_ % 2].load(std::memory_order_relaxed);
  if (theirs == call) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("rank ", peer, " calls ",
                                          NameOfCall(theirs), ", this one ",
                                          NameOfCall(call)));
}

void RoundGate::Break() {
  int32_t nobody = 0;
  region_.broken_by().compare_exchange_strong(nobody, rank_ + 1);
  for (int rank = 0; rank < region_.size(); ++rank) {
    std::atomic<uint32_t>& state = region_.slot(rank).state;
    state.fetch_or(kGroupBroken);
    FutexWakeAll(state);
  }
}

}  // namespace blockserve
