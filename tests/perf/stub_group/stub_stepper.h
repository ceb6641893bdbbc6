// The engine's thread of a stub: steps all streams together.
#ifndef BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_STEPPER_H_
#define BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_STEPPER_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/perf/stub_group/stub_worker.h"

namespace blockserve {

// Something that gets a block a step.
class SteppedStream {
 public:
  virtual ~SteppedStream() = default;
  // False after the last step. Must not block.
  virtual bool Step() = 0;
};

// Thread-safe.
class StubStepper {
 public:
  explicit StubStepper(const StubWorkerOptions& options);
  ~StubStepper();

  // Steps `stream` from the next step on, until it says that it has ended.
  void Add(std::shared_ptr<SteppedStream> stream);

 private:
  void Run();

  const StubWorkerOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<SteppedStream>> added_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace blockserve

#endif  // BLOCKSERVE_TESTS_PERF_STUB_GROUP_STUB_STEPPER_H_
