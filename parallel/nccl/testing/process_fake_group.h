// The fake NCCL between processes.
#ifndef BLOCKSERVE_PARALLEL_NCCL_TESTING_PROCESS_FAKE_GROUP_H_
#define BLOCKSERVE_PARALLEL_NCCL_TESTING_PROCESS_FAKE_GROUP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "parallel/nccl/testing/fake_group.h"

namespace blockserve {

// A rank puts what it sends into its slot of a file that all have mapped, and
// reads the others' when all have come. Nothing of it outlives a process that
// is killed but its slot, in which the others find that it is gone.
class ProcessFakeGroup final : public FakeGroup {
 public:
  // Creates the file, or opens it if another rank was first. Null if that
  // fails.
  static std::shared_ptr<FakeGroup> Open(const std::string& path, int size);
  ~ProcessFakeGroup() override;

  void Join(int rank) override;
  bool IsComplete() const override;
  bool IsPeerLost() const override;
  void Run(int rank, const FakeCollective& collective) override;
  void Hang(int rank) override;
  void Abort(int rank) override;

 private:
  // More than any test exchanges.
  static constexpr size_t kMaxBytes = 4 << 20;

  // One rank's part of the file; zero at first.
  struct Slot {
    std::atomic<int32_t> process;  // 0: has not joined
    std::atomic<int64_t> num_sent;
    std::atomic<int64_t> num_received;
    FakeCollective collective;  // whose pointers mean nothing to others
    alignas(64) unsigned char data[kMaxBytes];
  };

  ProcessFakeGroup(Slot* slots, int size) : FakeGroup(size), slots_(slots) {}

  // False: this rank was aborted meanwhile.
  bool Await(std::atomic<int64_t> Slot::*counter, int64_t count) const;
  bool Matches() const;
  void Receive(int rank, const FakeCollective& collective) const;

  Slot* const slots_;
  std::atomic<bool> is_aborted_ = false;  // of this process's rank
  int64_t num_rounds_ = 0;                // of the stream's thread
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_TESTING_PROCESS_FAKE_GROUP_H_
