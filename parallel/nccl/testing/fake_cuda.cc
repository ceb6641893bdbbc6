#include "parallel/nccl/testing/fake_cuda.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace {

std::mutex misuse_mutex;
std::vector<std::string>& Misuses() {
  static auto* const misuses = new std::vector<std::string>();
  return *misuses;
}
std::atomic<bool> fails_allocation = false;
// A rank is a thread and has a device of its own, whose one stream this is.
thread_local cudaStream_t stream_of_thread = nullptr;

}  // namespace

struct CUstream_st {
 public:
  CUstream_st() : thread_([this] { Run(); }) {}
  // Waits for what is enqueued, as tests want it.
  ~CUstream_st() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_closing_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void Enqueue(std::function<void()> work) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back(std::move(work));
    }
    changed_.notify_all();
  }

  // Waits until everything enqueued is done.
  void Drain() {
    std::unique_lock<std::mutex> lock(mutex_);
    drained_.wait(lock, [&] { return queue_.empty() && !is_working_; });
  }

  std::atomic<int> num_owed = 0;

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return is_closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      is_working_ = true;
      lock.unlock();
      work();
      lock.lock();
      is_working_ = false;
      drained_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable drained_;
  std::deque<std::function<void()>> queue_;
  bool is_working_ = false;
  bool is_closing_ = false;
  std::thread thread_;
};

struct CUevent_st {
  // What the stream sets, which may be after the event has been destroyed.
  struct Record {
    std::atomic<bool> is_done = false;
    std::chrono::steady_clock::time_point time;
  };
  std::mutex mutex;
  std::shared_ptr<Record> last;  // null: never recorded
};

namespace blockserve {

void EnqueueOnFakeStream(cudaStream_t stream, std::function<void()> work) {
  stream->Enqueue(std::move(work));
}

bool IsRecording(cudaStream_t) { return false; }

void OweLaunch(cudaStream_t stream, int num_launches) {
  stream->num_owed += num_launches;
}

void ReportMisuse(const std::string& what) {
  const std::lock_guard<std::mutex> lock(misuse_mutex);
  Misuses().push_back(what);
}

std::vector<std::string> TakeMisuses() {
  const std::lock_guard<std::mutex> lock(misuse_mutex);
  return std::exchange(Misuses(), {});
}

void FailNextAllocation() { fails_allocation = true; }

namespace {

// As CUDA: an event that was never recorded is done.
std::shared_ptr<CUevent_st::Record> LastRecord(cudaEvent_t event) {
  const std::lock_guard<std::mutex> lock(event->mutex);
  return event->last;
}

}  // namespace
}  // namespace blockserve

extern "C" {

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int) { return cudaSuccess; }

const char* cudaGetErrorString(cudaError_t) { return "an error of the fake"; }

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaMalloc(void** pointer, size_t num_bytes) {
  if (fails_allocation.exchange(false)) return cudaErrorMemoryAllocation;
  *pointer = std::malloc(num_bytes);
  return cudaSuccess;
}

// As CUDA: waits for the device.
cudaError_t cudaFree(void* pointer) {
  if (stream_of_thread != nullptr) stream_of_thread->Drain();
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* pointer, int value, size_t num_bytes,
                            cudaStream_t stream) {
  stream->Enqueue([=] { std::memset(pointer, value, num_bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new CUstream_st();
  stream_of_thread = *stream;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  stream_of_thread = nullptr;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  if ((flags & cudaEventDisableTiming) != 0) {
    blockserve::ReportMisuse("an event that is to be timed cannot be");
  }
  *event = new CUevent_st();
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (stream->num_owed > 0) {
    blockserve::ReportMisuse("an event is recorded before NCCL has launched");
  }
  auto record = std::make_shared<CUevent_st::Record>();
  {
    const std::lock_guard<std::mutex> lock(event->mutex);
    event->last = record;
  }
  stream->Enqueue([record] {
    record->time = std::chrono::steady_clock::now();
    record->is_done = true;
  });
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const auto record = blockserve::LastRecord(event);
  return record == nullptr || record->is_done ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin,
                                 cudaEvent_t end) {
  const auto from = blockserve::LastRecord(begin);
  const auto to = blockserve::LastRecord(end);
  if (from == nullptr || to == nullptr) return cudaErrorInvalidResourceHandle;
  if (!from->is_done || !to->is_done) return cudaErrorNotReady;
  *milliseconds =
      std::chrono::duration<float, std::milli>(to->time - from->time).count();
  return cudaSuccess;
}

}  // extern "C"
