#include "kernels/cuda_host/fiber.h"

#include <sys/mman.h>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/sanitizers.h"

#if !defined(__x86_64__)
#error "fibers are written for x86-64 only"
#endif

// Saves the callee-saved registers on the present stack, its pointer in
// `*save`, and goes on with what was saved at `load`.
extern "C" void BlockServeSwitchStack(void** save, void* load);
asm(R"(
.text
.globl BlockServeSwitchStack
.type BlockServeSwitchStack, @function
BlockServeSwitchStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size BlockServeSwitchStack, .-BlockServeSwitchStack
)");

namespace blockserve::cuda_host {
namespace {

// Large arrays of a device thread would go to its slow "local memory": none
// should need more.
constexpr size_t kStackBytes = 128 << 10;
constexpr size_t kGuardBytes = 4096;
constexpr int kNumSavedRegisters = 6;

// Who is entered for the first time: Enter has no argument.
thread_local Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber() {
  void* memory =
      mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("no memory for the stack of a fiber");
  if (mprotect(memory, kGuardBytes, PROT_NONE) != 0) {
    Fail("no guard for the stack of a fiber");
  }
  stack_ = static_cast<char*>(memory) + kGuardBytes;
  if (HasThreadSanitizer()) tsan_fiber_ = __tsan_create_fiber(0);
}

Fiber::~Fiber() {
  if (tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
  munmap(stack_ - kGuardBytes, kGuardBytes + kStackBytes);
}

void Fiber::Start(void (*function)(void*), void* argument) {
  function_ = function;
  argument_ = argument;
  is_done_ = false;
  fake_stack_ = nullptr;
  // As if Enter had been called: a return address of nobody above its own,
  // which keeps the stack aligned as the calling convention asks.
  void** top = reinterpret_cast<void**>(stack_ + kStackBytes - 64);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&Fiber::Enter);
  for (int i = 0; i < kNumSavedRegisters; ++i) *--top = nullptr;
  stack_pointer_ = top;
}

void Fiber::Resume() {
  entering = this;
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(&resumer_fake_stack_, stack_, kStackBytes);
  }
  if (tsan_fiber_ != nullptr) {
    tsan_resumer_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_fiber_, 1);
  }
  BlockServeSwitchStack(&resumer_stack_pointer_, stack_pointer_);
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(resumer_fake_stack_, nullptr, nullptr);
  }
}

void Fiber::Yield() { SwitchBack(/*for_good=*/false); }

void Fiber::SwitchBack(bool for_good) {
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_,
                                   resumer_stack_, resumer_stack_size_);
  }
  if (tsan_fiber_ != nullptr) __tsan_switch_to_fiber(tsan_resumer_, 1);
  BlockServeSwitchStack(&stack_pointer_, resumer_stack_pointer_);
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(fake_stack_, &resumer_stack_,
                                    &resumer_stack_size_);
  }
}

void Fiber::Enter() {
  Fiber* const self = entering;
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(nullptr, &self->resumer_stack_,
                                    &self->resumer_stack_size_);
  }
  self->function_(self->argument_);
  self->is_done_ = true;
  self->SwitchBack(/*for_good=*/true);
  Fail("a fiber went on after its end");
}

}  // namespace blockserve::cuda_host
