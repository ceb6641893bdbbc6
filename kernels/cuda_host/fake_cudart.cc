// The functions of the CUDA runtime that the project calls, over FakeRuntime;
// linked instead of libcudart. Their signatures are those of NVIDIA's headers.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/fake_runtime.h"

using blockserve::cuda_host::CurrentDevice;
using blockserve::cuda_host::DeviceOf;
using blockserve::cuda_host::Fail;
using blockserve::cuda_host::FakeRuntime;
using blockserve::cuda_host::kHostMemory;
using blockserve::cuda_host::SetCurrentDevice;
using blockserve::cuda_host::TakeLastError;

namespace {

FakeRuntime& Runtime() { return FakeRuntime::Get(); }

bool IsIdle(int device) {
  for (const CUstream_st* stream : Runtime().streams) {
    if (stream->device == device && !stream->queue.empty()) return false;
  }
  return true;
}

// The error of a device, as whoever waits for it hears of it.
cudaError_t ErrorAfterWait(const char* call) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  return Runtime().Enter(call);
}

}  // namespace

extern "C" {

// --- devices ----------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  *count = Runtime().options.num_devices;
  return Runtime().Enter("cudaGetDeviceCount");
}

cudaError_t cudaSetDevice(int device) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (device < 0 || device >= Runtime().options.num_devices) {
    return Runtime().Remember(cudaErrorInvalidDevice);
  }
  SetCurrentDevice(device);
  return Runtime().Enter("cudaSetDevice");
}

cudaError_t cudaGetDevice(int* device) {
  *device = CurrentDevice();
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (device < 0 || device >= Runtime().options.num_devices) {
    return Runtime().Remember(cudaErrorInvalidDevice);
  }
  *properties = {};
  std::strcpy(properties->name, "emulated on the host");
  properties->totalGlobalMem = Runtime().options.device_bytes;
  properties->major = 8;
  properties->minor = 0;
  properties->multiProcessorCount = 4;
  properties->warpSize = 32;
  return Runtime().Enter("cudaGetDeviceProperties");
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  *total_bytes = Runtime().options.device_bytes;
  *free_bytes = *total_bytes - Runtime().memory.BytesOn(CurrentDevice());
  return Runtime().Enter("cudaMemGetInfo");
}

cudaError_t cudaDeviceSynchronize() {
  {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    if (const cudaError_t error = Runtime().Enter("cudaDeviceSynchronize")) {
      return error;
    }
    if (!Runtime().NoCaptureOnCurrentDevice()) {
      return Runtime().Remember(cudaErrorStreamCaptureUnsupported);
    }
  }
  Runtime().Wait(CurrentDevice(), [] { return IsIdle(CurrentDevice()); });
  return ErrorAfterWait("cudaDeviceSynchronize, done");
}

// --- errors -----------------------------------------------------------------

cudaError_t cudaGetLastError() { return TakeLastError(/*and_forget=*/true); }
cudaError_t cudaPeekAtLastError() {
  return TakeLastError(/*and_forget=*/false);
}
const char* cudaGetErrorString(cudaError_t error) {
  thread_local std::string text;
  text = "CUDA error " + std::to_string(error) + " (fake)";
  return text.c_str();
}

// --- memory -----------------------------------------------------------------

cudaError_t cudaMalloc(void** data, size_t num_bytes) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaMalloc")) return error;
  if (!Runtime().NoCaptureOnCurrentDevice()) {
    return Runtime().Remember(cudaErrorStreamCaptureUnsupported);
  }
  *data = Runtime().memory.Allocate(CurrentDevice(), num_bytes,
                                    Runtime().options.device_bytes);
  if (*data == nullptr) return Runtime().Remember(cudaErrorMemoryAllocation);
  ++Runtime().counts.num_allocations;
  return cudaSuccess;
}

// As CUDA: waits for the device that the memory is of, current or not.
cudaError_t cudaFree(void* data) {
  if (data == nullptr) return cudaSuccess;
  int device = 0;
  {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    if (!Runtime().NoCaptureOnCurrentDevice()) {
      return Runtime().Remember(cudaErrorStreamCaptureUnsupported);
    }
    device = Runtime().memory.DeviceOf(data, CurrentDevice());
  }
  Runtime().Wait(device, [device] { return IsIdle(device); });
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (!Runtime().memory.Free(data, /*is_host=*/false)) {
    return Runtime().Remember(cudaErrorInvalidValue);
  }
  return Runtime().Enter("cudaFree");
}

cudaError_t cudaMallocHost(void** data, size_t num_bytes) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaMallocHost")) return error;
  if (!Runtime().NoCaptureOnCurrentDevice()) {
    return Runtime().Remember(cudaErrorStreamCaptureUnsupported);
  }
  *data = Runtime().memory.Allocate(kHostMemory, num_bytes, 0);
  return *data == nullptr ? Runtime().Remember(cudaErrorMemoryAllocation)
                          : cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  if (data == nullptr) return cudaSuccess;
  Runtime().Wait(CurrentDevice(), [] { return IsIdle(CurrentDevice()); });
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (!Runtime().memory.Free(data, /*is_host=*/true)) {
    return Runtime().Remember(cudaErrorInvalidValue);
  }
  return Runtime().Enter("cudaFreeHost");
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source,
                            size_t num_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool to_device =
      kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device =
      kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (!to_device && !from_device) Fail("cudaMemcpyAsync of another kind");
  const auto run = [=, device = DeviceOf(stream, "a copy")] {
    {
      FakeRuntime& runtime = Runtime();
      const std::lock_guard<std::mutex> lock(runtime.mutex);
      ++runtime.counts.num_copies;
      const auto check = [&](const void* data, bool on_device) {
        if (on_device) {
          runtime.memory.Check(data, num_bytes, device, "a copy's memory");
        } else if (!runtime.memory.IsPinned(data, num_bytes)) {
          Fail(
              "an asynchronous copy with pageable memory, which waits on a "
              "device");
        }
      };
      check(destination, to_device);
      check(source, from_device);
    }
    std::memcpy(destination, source, num_bytes);
    return true;
  };
  return Runtime().Enqueue("cudaMemcpyAsync", stream, {"cudaMemcpyAsync", run});
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t num_bytes,
                            cudaStream_t stream) {
  const auto run = [=, device = DeviceOf(stream, "cudaMemsetAsync")] {
    {
      FakeRuntime& runtime = Runtime();
      const std::lock_guard<std::mutex> lock(runtime.mutex);
      ++runtime.counts.num_copies;
      runtime.memory.Check(data, num_bytes, device, "cudaMemsetAsync's memory");
    }
    std::memset(data, value, num_bytes);
    return true;
  };
  return Runtime().Enqueue("cudaMemsetAsync", stream, {"cudaMemsetAsync", run});
}

// --- streams ----------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream,
                                      unsigned int flags) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaStreamCreateWithFlags")) {
    return error;
  }
  if (flags != cudaStreamNonBlocking) {
    Fail("a stream that waits for the default stream");
  }
  *stream = new CUstream_st();
  (*stream)->device = CurrentDevice();
  (*stream)->progress->device = CurrentDevice();
  Runtime().streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Runtime().Wait(stream->device, [=] { return stream->queue.empty(); });
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  auto& streams = Runtime().streams;
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    if (const cudaError_t error = Runtime().Enter("cudaStreamSynchronize")) {
      return error;
    }
    if (stream->capture != nullptr) {
      stream->is_invalidated = true;
      return Runtime().Remember(cudaErrorStreamCaptureUnsupported);
    }
  }
  Runtime().Wait(stream->device, [=] { return stream->queue.empty(); });
  return ErrorAfterWait("cudaStreamSynchronize, done");
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream,
                                  cudaStreamCaptureStatus* status) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->is_invalidated   ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return Runtime().Enter("cudaStreamIsCapturing");
}

}  // extern "C"
