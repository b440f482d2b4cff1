// CUDA's handles, each destroyed with its owner.
#pragma once

#include <memory>
#include <type_traits>

#include "tensor/cuda/context.h"

namespace dcl::tensor::cuda {

/// A stream of the current device that does not wait for the legacy default one.
class Stream {
 public:
  Stream() {
    cudaStream_t made = nullptr;
    DCL_CUDA("stream", cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    stream_.reset(made);
  }
  cudaStream_t get() const { return stream_.get(); }

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Destroy> stream_;
};

/// A mark in a stream of the current device. One that was never recorded counts as reached.
class Event {
 public:
  enum class Timing { off, on };

  explicit Event(Timing timing = Timing::off) {
    cudaEvent_t made = nullptr;
    DCL_CUDA("event", cudaEventCreateWithFlags(
                          &made, timing == Timing::on ? cudaEventDefault : cudaEventDisableTiming));
    event_.reset(made);
  }
  cudaEvent_t get() const { return event_.get(); }
  void record(cudaStream_t stream) { DCL_CUDA("event", cudaEventRecord(get(), stream)); }
  /// What `stream` is given from now on starts after the mark.
  void hold(cudaStream_t stream) const { DCL_CUDA("event", cudaStreamWaitEvent(stream, get(), 0)); }
  /// The host waits.
  void wait() const { DCL_CUDA("event", cudaEventSynchronize(get())); }
  /// Milliseconds between two reached marks with Timing::on.
  float since(const Event& start) const {
    float milliseconds = 0;
    DCL_CUDA("event", cudaEventElapsedTime(&milliseconds, start.get(), get()));
    return milliseconds;
  }

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Destroy> event_;
};

}  // namespace dcl::tensor::cuda
