#include "kernels/cuda_host/fake_runtime.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "kernels/cuda_host/cta.h"
#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/launch.h"
#include "kernels/cuda_host/schedule.h"
#include "kernels/cuda_host/shared_memory.h"

namespace blockserve {
namespace cuda_host {
namespace {

// How long nothing may happen while somebody waits, peers in other threads
// included.
constexpr std::chrono::seconds kHang(60);

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

constexpr unsigned kMaxGridYZ = 65535;

bool IsLaunchable(const GridShape& shape) {
  const auto volume = [](const dim3& extents) {
    return uint64_t{extents.x} * extents.y * extents.z;
  };
  if (volume(shape.grid) == 0 || volume(shape.cta) == 0) return false;
  if (shape.grid.x > 0x7fffffffu) return false;
  if (shape.grid.y > kMaxGridYZ || shape.grid.z > kMaxGridYZ) return false;
  if (volume(shape.cta) > kMaxThreadsPerCta || shape.cta.z > 64) return false;
  return shape.dynamic_shared_bytes <= kDefaultSharedBytes;
}

}  // namespace

int DeviceOf(cudaStream_t stream, const std::string& what) {
  if (stream == nullptr) Fail(what + " on the default stream");
  return stream->device;
}

int CurrentDevice() { return current_device; }
void SetCurrentDevice(int device) { current_device = device; }

cudaError_t TakeLastError(bool and_forget) {
  return and_forget ? std::exchange(last_error, cudaSuccess) : last_error;
}

FakeRuntime& FakeRuntime::Get() {
  static auto* const runtime = new FakeRuntime();
  return *runtime;
}

cudaError_t FakeRuntime::Remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool FakeRuntime::IsLost(int device) const {
  const auto found = failing_devices.find(device);
  return found != failing_devices.end() && found->second.ops_left <= 0;
}

cudaError_t FakeRuntime::Enter(const std::string& name) {
  const auto failing = failing_calls.find(name);
  if (failing != failing_calls.end() && --failing->second.calls_left == 0) {
    const cudaError_t error = failing->second.error;
    failing_calls.erase(failing);
    return Remember(error);
  }
  if (IsLost(current_device)) {
    return Remember(failing_devices.at(current_device).error);
  }
  return cudaSuccess;
}

cudaError_t FakeRuntime::Enqueue(const std::string& name, cudaStream_t stream,
                                 Work work) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (const cudaError_t error = Enter(name)) return error;
  if (std::find(streams.begin(), streams.end(), stream) == streams.end()) {
    Fail(work.what + " on a stream that was destroyed");
  }
  if (stream->capture != nullptr) {
    std::vector<GraphNode>& nodes = stream->capture->nodes;
    nodes.push_back({std::move(work), stream->tail});
    stream->tail = {static_cast<int>(nodes.size()) - 1};
    return cudaSuccess;
  }
  stream->queue.push_back(std::move(work));
  ++stream->progress->num_enqueued;
  return cudaSuccess;
}

bool FakeRuntime::NoCaptureOnCurrentDevice() {
  bool none = true;
  for (CUstream_st* stream : streams) {
    if (stream->capture == nullptr || stream->device != current_device) {
      continue;
    }
    stream->is_invalidated = true;
    none = false;
  }
  return none;
}

// Lets a random stream of the device do the next thing, if any can.
bool FakeRuntime::RunOne(int device, std::unique_lock<std::mutex>& lock) {
  std::vector<CUstream_st*> able;
  for (CUstream_st* stream : streams) {
    if (stream->device == device && !stream->queue.empty() &&
        !stream->is_running) {
      able.push_back(stream);
    }
  }
  std::shuffle(able.begin(), able.end(), random);
  for (CUstream_st* stream : able) {
    if (stream->queue.empty() || stream->is_running) continue;
    stream->is_running = true;
    const std::function<bool()> run = stream->queue.front().run;
    bool is_done = true;
    if (!IsLost(device)) {
      const auto failing = failing_devices.find(device);
      if (failing != failing_devices.end()) --failing->second.ops_left;
      lock.unlock();
      is_done = run();
      lock.lock();
    }
    stream->is_running = false;
    if (!is_done) continue;
    stream->queue.pop_front();
    ++stream->progress->num_done;
    return true;
  }
  return false;
}

void FakeRuntime::Pursue(Progress& progress, uint64_t position) {
  progress.num_wanted = std::max(progress.num_wanted, position);
  if (pursuing_.insert(progress.device).second) {
    std::thread([this, device = progress.device] {
      RunWanted(device);
    }).detach();
  }
  wanted_.notify_all();
}

void FakeRuntime::RunWanted(int device) {
  std::unique_lock<std::mutex> lock(mutex);
  SetCurrentDevice(device);
  const auto is_wanted = [&] {
    return std::any_of(
        streams.begin(), streams.end(), [&](const CUstream_st* stream) {
          return stream->device == device &&
                 stream->progress->num_done < stream->progress->num_wanted;
        });
  };
  while (true) {
    wanted_.wait(lock, is_wanted);
    if (RunOne(device, lock)) continue;
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
}

void FakeRuntime::Wait(int device, const std::function<bool()>& is_done) {
  std::unique_lock<std::mutex> lock(mutex);
  ++counts.num_waits;
  auto last_progress = std::chrono::steady_clock::now();
  while (!is_done()) {
    if (RunOne(device, lock)) {
      last_progress = std::chrono::steady_clock::now();
      continue;
    }
    if (std::chrono::steady_clock::now() - last_progress > kHang) {
      Fail("the device hangs: a wait for an event or a peer that never comes");
    }
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
}

cudaError_t EnqueueKernel(const GridShape& shape, cudaStream_t stream,
                          std::vector<const void*> pointers,
                          std::function<void()> body) {
  FakeRuntime& runtime = FakeRuntime::Get();
  const std::string what = std::string("kernel ") + shape.name;
  if (!IsLaunchable(shape)) {
    return runtime.Remember(cudaErrorInvalidConfiguration);
  }
  if (DeviceOf(stream, what) != current_device) {
    return runtime.Remember(cudaErrorInvalidResourceHandle);
  }
  const auto run = [shape, what, pointers = std::move(pointers),
                    body = std::move(body), device = current_device] {
    FakeRuntime& runtime = FakeRuntime::Get();
    {
      const std::lock_guard<std::mutex> lock(runtime.mutex);
      ++runtime.counts.kernels[shape.name];
      for (size_t i = 0; i < pointers.size(); ++i) {
        if (pointers[i] == nullptr) continue;
        runtime.memory.Check(pointers[i], 0, device,
                             what + ": pointer " + std::to_string(i));
      }
    }
    RunGrid(shape, body);
    return true;
  };
  return runtime.Enqueue(what, stream, {what, run});
}

}  // namespace cuda_host

void ResetFakeCuda(const FakeCudaOptions& options) {
  auto& runtime = cuda_host::FakeRuntime::Get();
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  for (const CUstream_st* stream : runtime.streams) {
    if (!stream->queue.empty()) {
      cuda_host::Fail("ResetFakeCuda: " + stream->queue.front().what +
                      " is still enqueued");
    }
  }
  runtime.options = options;
  runtime.counts = {};
  runtime.random = cuda_host::SeededRandom(options.seed);
  runtime.failing_calls.clear();
  runtime.failing_devices.clear();
}

FakeCudaCounts CountsOfFakeCuda() {
  auto& runtime = cuda_host::FakeRuntime::Get();
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  return runtime.counts;
}

size_t DeviceBytesInUse() {
  auto& runtime = cuda_host::FakeRuntime::Get();
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  return runtime.memory.DeviceBytes();
}

void FailCall(const std::string& name, int nth, cudaError_t error) {
  auto& runtime = cuda_host::FakeRuntime::Get();
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  runtime.failing_calls[name] = {nth, error};
}

void FailDevice(int device, int num_ops, cudaError_t error) {
  auto& runtime = cuda_host::FakeRuntime::Get();
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  runtime.failing_devices[device] = {num_ops, error};
}

}  // namespace blockserve
