#include "tensor/cuda/context.h"

#include <map>
#include <mutex>
#include <utility>

#include "tensor/cuda/handles.h"

namespace dcl::tensor::cuda {

namespace {

// What a StreamGuard of this thread has set; it holds for one device.
thread_local cudaStream_t guarded_stream = nullptr;
thread_local int guarded_device = -1;

DeviceProperties ask_properties(int device) {
  cudaDeviceProp found{};
  DCL_CUDA("device properties", cudaGetDeviceProperties(&found, device));
  DeviceProperties properties;
  properties.name = found.name;
  properties.major = found.major;
  properties.minor = found.minor;
  properties.multiprocessors = found.multiProcessorCount;
  properties.l2_bytes = found.l2CacheSize;
  properties.shared_bytes_per_block = static_cast<std::int64_t>(found.sharedMemPerBlockOptin);
  properties.total_bytes = static_cast<std::int64_t>(found.totalGlobalMem);
  return properties;
}

// The map of what each device has, made at the first use and never destroyed: tensors with static storage
// duration may outlive any order of destruction.
template <class T, class Make>
T& once_a_device(int device, Make make) {
  static std::mutex mutex;
  static auto* const all = new std::map<int, T>;
  const std::scoped_lock lock(mutex);
  const auto found = all->find(device);
  return found != all->end() ? found->second : all->emplace(device, make()).first->second;
}

}  // namespace

void fail_call(const char* op, cudaError_t status) {
  cudaGetLastError();  // the next call must not find it again
  fail("{}: {}: {}", op, cudaGetErrorName(status), cudaGetErrorString(status));
}

int device_count() {
  int count = 0;  // left as it is where there is no driver
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

int current_device() {
  int device = 0;
  DCL_CUDA("current device", cudaGetDevice(&device));
  return device;
}

const DeviceProperties& device_properties(int device) {
  return once_a_device<DeviceProperties>(device, [&] { return ask_properties(device); });
}

cudaStream_t current_stream() {
  const int device = current_device();
  if (device == guarded_device) return guarded_stream;
  // Known to this thread from the last time: each launch asks.
  thread_local std::pair<int, cudaStream_t> known{-1, nullptr};
  if (known.first != device) known = {device, once_a_device<Stream>(device, [] { return Stream(); }).get()};
  return known.second;
}

StreamGuard::StreamGuard(cudaStream_t stream)
    : stream_before_(guarded_stream), device_before_(guarded_device) {
  guarded_device = current_device();
  guarded_stream = stream;
}

StreamGuard::~StreamGuard() {
  guarded_stream = stream_before_;
  guarded_device = device_before_;
}

void check_not_captured(const char* op) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  DCL_CUDA(op, cudaStreamIsCapturing(current_stream(), &status));
  check(status == cudaStreamCaptureStatusNone, "{}: waits for the device while a graph is captured", op);
}

void synchronize() { DCL_CUDA("synchronize", cudaDeviceSynchronize()); }

void synchronize(int device) {
  const DeviceScope on({DeviceType::cuda, device});
  check_not_captured("synchronize");
  synchronize();
}

std::string describe(int device) {
  const DeviceProperties& gpu = device_properties(device);
  return fmt::format("{}, sm_{}{}, {} MiB", gpu.name, gpu.major, gpu.minor, gpu.total_bytes >> 20);
}

std::int64_t free_bytes(int device) {
  const DeviceScope on({DeviceType::cuda, device});
  std::size_t available = 0;
  std::size_t total = 0;
  DCL_CUDA("free memory", cudaMemGetInfo(&available, &total));
  return static_cast<std::int64_t>(available) + allocator(device).stats().cached;
}

int use_device(int device) {
  const int before = current_device();
  if (before != device) DCL_CUDA("use device", cudaSetDevice(device));
  return before;
}

void return_to_device(int device) noexcept {
  int now = 0;
  if (cudaGetDevice(&now) != cudaSuccess || now != device) cudaSetDevice(device);
}

std::string why_unusable(int device) {
  int count = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess) {
    cudaGetLastError();
    return fmt::format("no CUDA device: {}", cudaGetErrorString(status));
  }
  if (count == 0) return "no CUDA device: the driver sees none";
  if (device < 0 || device >= count)
    return fmt::format("no CUDA device {}: there are {}, counted from 0", device, count);
  const DeviceProperties& gpu = device_properties(device);
  const DeviceScope on({DeviceType::cuda, device});
  const cudaError_t status = kernel_status();
  if (status == cudaSuccess) return "";
  cudaGetLastError();
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction)
    return fmt::format("this build is for {}, the GPU {} is sm_{}{}", DCL_CUDA_ARCHITECTURES, gpu.name,
                       gpu.major, gpu.minor);
  return fmt::format("no CUDA device: the GPU {} cannot be used: {}", gpu.name, cudaGetErrorString(status));
}

}  // namespace dcl::tensor::cuda
