// The functions of NCCL that the communicator calls, between ranks that are
// threads of one process or processes, on a fake CUDA. Linked instead of
// libnccl.
//
// As the real one in what is easily got wrong: a communicator does not block,
// connecting and enqueueing are "in progress" for some polls, the device waits
// for peers that may never come, only an abort ends that, and nothing may be
// done with a communicator that was freed. Breaches are reported as misuse
// (fake_cuda.h).
#ifndef BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_NCCL_H_
#define BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_NCCL_H_

#include <nccl.h>

#include <string>
#include <vector>

namespace blockserve {

// What a rank has called.
struct FakeNcclCounts {
  int num_aborts = 0;
  int num_finalized = 0;
  int num_destroyed = 0;
  int num_launches = 0;  // groups, and calls outside of groups
  std::vector<std::string> collectives;
};

// For one group at a time. Any thread.
class FakeNccl {
 public:
  // Forgets faults and counts.
  static void Reset();

  // Ranks are processes from now on, which find each other by files named
  // `path` and a number; empty: threads again.
  static void ShareAmongProcesses(const std::string& path);

  // Every launch is in progress for so many polls; at first 3.
  static void SetPolls(int num_polls);
  // The next device operation of `rank` waits until it is aborted.
  static void HangNext(int rank);
  // ncclCommGetAsyncError of `rank` says this from now on.
  static void SetAsyncError(int rank, ncclResult_t error);
  // The next collective of `rank` returns this.
  static void FailNextCall(int rank, ncclResult_t error);
  // Peers of a rank that aborts get a remote error; else they wait for it.
  static void SetNoticesAborts(bool notices);

  static FakeNcclCounts CountsOf(int rank);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_TESTING_FAKE_NCCL_H_
