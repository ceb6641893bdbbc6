// Where the ranks of the fake NCCL meet: what their devices do.
#ifndef BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_GROUP_H_
#define BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_GROUP_H_

#include <nccl.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace blockserve {

// One rank's part in a collective.
struct FakeCollective {
  enum class Kind {
    kAllReduce,
    kReduce,
    kReduceScatter,
    kAllGather,
    kBroadcast
  };
  Kind kind = Kind::kAllReduce;
  const void* send = nullptr;
  void* receive = nullptr;
  size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  int root = 0;
};

// Collectives are matched by their order. Any thread.
class FakeGroup {
 public:
  explicit FakeGroup(int size);

  int size() const { return size_; }
  void Join();
  bool IsComplete() const;

  // On a stream's thread: waits for the peers, or for an abort of this rank.
  // Calls that do not match are never done, as on a device.
  void Run(int rank, const FakeCollective& collective);
  // Waits for an abort of this rank.
  void Hang(int rank);
  void Abort(int rank);

 private:
  struct Round {
    std::map<int, FakeCollective> come;  // by rank
    bool is_done = false;
  };

  bool Matches(const Round& round) const;
  void Perform(Round& round) const;

  const int size_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int num_joined_ = 0;
  std::vector<bool> is_aborted_;
  std::vector<int64_t> next_round_;
  std::map<int64_t, Round> rounds_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_GROUP_H_
