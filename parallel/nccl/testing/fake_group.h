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

// Bytes of one receive buffer's part, and of what a rank sends.
size_t BytesOf(const FakeCollective& collective);
size_t SentBytesOf(const FakeCollective& collective, int size);

// Collectives are matched by their order. Any thread.
class FakeGroup {
 public:
  explicit FakeGroup(int size) : size_(size) {}
  virtual ~FakeGroup() = default;

  int size() const { return size_; }
  virtual void Join(int rank) = 0;
  virtual bool IsComplete() const = 0;
  // Whether a peer's process is no more, which NCCL finds out by itself.
  virtual bool IsPeerLost() const { return false; }

  // On a stream's thread: waits for the peers, or for an abort of this rank.
  // Calls that do not match are never done, as on a device.
  virtual void Run(int rank, const FakeCollective& collective) = 0;
  // Waits for an abort of this rank.
  virtual void Hang(int rank) = 0;
  virtual void Abort(int rank) = 0;

 private:
  const int size_;
};

// Of ranks that are threads of this process.
class ThreadFakeGroup final : public FakeGroup {
 public:
  explicit ThreadFakeGroup(int size);

  void Join(int rank) override;
  bool IsComplete() const override;
  void Run(int rank, const FakeCollective& collective) override;
  void Hang(int rank) override;
  void Abort(int rank) override;

 private:
  struct Round {
    std::map<int, FakeCollective> come;  // by rank
    bool is_done = false;
  };

  bool Matches(const Round& round) const;
  void Perform(Round& round) const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int num_joined_ = 0;
  std::vector<bool> is_aborted_;
  std::vector<int64_t> next_round_;
  std::map<int64_t, Round> rounds_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_GROUP_H_
