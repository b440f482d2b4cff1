// The pictures of the next step on their way to a device while it works on this one. Declared in every build,
// defined in builds with CUDA; no CUDA headers here.
#pragma once

#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace dcl::tensor::cuda {

/// Two sets of tensors on a device, filled by turns. From one thread. Throws Error where CUDA does, as when
/// memory is short, and while a graph is captured.
class UploadAhead {
 public:
  explicit UploadAhead(Device device);
  ~UploadAhead();
  UploadAhead(const UploadAhead&) = delete;
  UploadAhead& operator=(const UploadAhead&) = delete;

  /// Copies of `host` on the device, undefined ones undefined. They travel on a stream of their own, beside
  /// what the device was asked for before; what it is asked for from now on waits for them. Returns when
  /// `host` has been read. What reads the copies has to be asked for before the next call: the next but one
  /// overwrites them.
  std::vector<Tensor> upload(const std::vector<Tensor>& host);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::shared_ptr<UploadAhead> make_upload_ahead(Device device);

}  // namespace dcl::tensor::cuda
