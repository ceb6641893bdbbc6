// A function that runs on a stack of its own and can be left and entered again.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_FIBER_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_FIBER_H_

#include <cstddef>

namespace blockserve::cuda_host {

// Belongs to the thread that first resumes it. AddressSanitizer and
// ThreadSanitizer are told of every switch; to ThreadSanitizer a fiber is a
// thread, and a switch orders nothing: what does is said with OrderAfter and
// OrderBefore (sanitizers.h).
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next Resume enters `function` afresh. Whatever ran here is forgotten.
  void Start(void (*function)(void*), void* argument);
  // Runs until the fiber yields or its function returns. Not from a fiber.
  void Resume();
  // Back to whoever resumed it; from the fiber itself.
  void Yield();

  bool is_done() const { return is_done_; }

 private:
  static void Enter();
  void SwitchBack(bool for_good);

  char* stack_ = nullptr;  // above a page that must not be touched
  void* stack_pointer_ = nullptr;
  void* resumer_stack_pointer_ = nullptr;
  void (*function_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool is_done_ = true;
  // For the sanitizers.
  void* fake_stack_ = nullptr;
  void* resumer_fake_stack_ = nullptr;
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_size_ = 0;
  void* tsan_fiber_ = nullptr;
  void* tsan_resumer_ = nullptr;
};

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_FIBER_H_
