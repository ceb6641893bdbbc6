// What must hold in a group whatever happens, checked from outside.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_GROUP_CHECKER_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_GROUP_CHECKER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "parallel/control/group_types.h"

namespace blockserve {

// An epoch as two leaders can tell theirs apart: number and leader.
using EpochKey = std::pair<uint64_t, uint64_t>;

// A process as the checker knows it; `number` is unique in a simulation.
struct ProcessId {
  int number = 0;
  int rank = 0;
};

// Keeps the first thing that does not hold.
class GroupChecker {
 public:
  explicit GroupChecker(int world_size) : world_size_(world_size) {}

  const std::string& violation() const { return violation_; }
  void Fail(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }

  // A process is in an epoch: later than all it was in, one at a time, each
  // rank of an epoch one process.
  void OnFormed(ProcessId process, bool may_join, const Formation& formation);
  void OnBroken(ProcessId process);
  void OnDied(ProcessId process) { current_.erase(process.number); }

  void OnBlobs(ProcessId process, const std::vector<std::string>& blobs);
  static std::string BlobOf(EpochKey epoch, int rank);

  // Plans: executed as planned, from the first on, without a gap.
  void OnPlanned(EpochKey epoch, uint64_t number, const std::string& payload);
  void OnExecuted(ProcessId process, uint64_t number,
                  const std::string& payload);

  // Places: one process holds a rank's at a leader at a time.
  void OnAccepted(int leader, int rank, uint64_t stream, bool may_join);
  void OnStreamOver(int leader, uint64_t stream);

  // (epoch of the process, plans it has executed there); 0 without one.
  std::pair<EpochKey, uint64_t> ProgressOf(ProcessId process) const;
  int num_epochs() const { return static_cast<int>(plans_.size()); }
  int64_t num_executed() const { return num_executed_; }

 private:
  struct Current {
    EpochKey epoch;
    uint64_t num_executed = 0;
  };

  const int world_size_;
  std::string violation_;
  std::map<int, Current> current_;      // by process, while in an epoch
  std::map<int, uint64_t> last_epoch_;  // by process
  std::map<EpochKey, std::map<int, int>> process_of_;  // by rank
  std::map<EpochKey, std::vector<std::string>> plans_;
  std::map<std::pair<int, int>, uint64_t> stream_of_;  // by leader and rank
  int64_t num_executed_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_GROUP_CHECKER_H_
