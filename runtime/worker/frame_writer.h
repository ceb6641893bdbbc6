// A thread that sends what the engine's thread has put into frames.
#ifndef BLOCKSERVE_RUNTIME_WORKER_FRAME_WRITER_H_
#define BLOCKSERVE_RUNTIME_WORKER_FRAME_WRITER_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace blockserve {

// Something with a frame to send.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual void Flush() = 0;
};

// Keeps serialising and system calls off the engine's thread, and lets events
// of one step gather in one frame while the thread wakes up. Thread-safe.
class FrameWriter {
 public:
  FrameWriter();
  ~FrameWriter();  // flushes what is scheduled, then joins

  // Has `source` flushed soon. Does not block; sources schedule themselves at
  // most once until they are flushed.
  void Schedule(std::shared_ptr<FrameSource> source);

 private:
  void Run();

  absl::Mutex mutex_;
  absl::CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<FrameSource>> scheduled_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_FRAME_WRITER_H_
