// cp.async of one thread, as late as can be.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_ASYNC_COPIES_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_ASYNC_COPIES_H_

#include <vector>

namespace blockserve::cuda_host {

// Copies of 16 bytes arrive when they are waited for and not before; until then
// their destination is poisoned.
class AsyncCopies {
 public:
  // Fails if either address is not aligned to 16 bytes.
  void Issue(void* destination, const void* source);
  void Commit() { ++current_group_; }
  // Until at most `num_groups` of the committed groups are in flight.
  void Wait(int num_groups);

  bool empty() const { return copies_.empty(); }
  void Reset();

 private:
  struct Copy {
    void* destination = nullptr;
    const void* source = nullptr;
    int group = 0;
  };

  std::vector<Copy> copies_;
  int current_group_ = 0;
};

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_ASYNC_COPIES_H_
