// The WatchLoad streams.
#ifndef BLOCKSERVE_RUNTIME_WORKER_LOAD_REPORTER_H_
#define BLOCKSERVE_RUNTIME_WORKER_LOAD_REPORTER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.grpc.pb.h"

namespace blockserve {

// Pushes the load to every watcher: at once, then when it has changed, at most
// every min_interval (in [10 ms, 10 s], 100 ms if not given), and unchanged
// every five of them, so that a silent worker is a dead one. A slow reader
// misses loads, never gets old ones. Thread-safe.
class LoadReporter {
 public:
  // `read_load` is called on the reporter's thread and must not block.
  explicit LoadReporter(
      std::function<worker::v1::WatchLoadResponse()> read_load);
  ~LoadReporter();

  grpc::ServerWriteReactor<worker::v1::WatchLoadResponse>* Watch(
      const worker::v1::WatchLoadRequest& request);

  // The load is worth telling now, whatever the intervals.
  void Notify();

  // Pushes the load once more and ends the streams, and those to come.
  void Shutdown();

 private:
  class Watcher;

  void Run();
  // When the next watcher is due.
  absl::Time UpdateWatchers(bool at_once) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<worker::v1::WatchLoadResponse()> read_load_;
  absl::Mutex mutex_;
  absl::CondVar wake_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_LOAD_REPORTER_H_
