#include "tensor/cuda/upload_ahead.h"

#include <array>
#include <utility>

#include "tensor/cuda/handles.h"
#include "tensor/cuda/pinned.h"

namespace dcl::tensor::cuda {

namespace {

struct Slot {
  std::vector<Tensor> tensors;
  Event read;  // the one stream has no use for them any more
};

}  // namespace

struct UploadAhead::State {
  Device device;
  Stream stream;
  Staging staging;  // its pieces wait for this stream only
  std::array<Slot, 2> slots;
  std::size_t next = 0;
  Event copied;

  explicit State(Device on) : device(on) {}
};

UploadAhead::UploadAhead(Device device) {
  const DeviceScope on(device);
  state_ = std::make_unique<State>(device);
}

UploadAhead::~UploadAhead() {
  try {
    const DeviceScope on(state_->device);
    cudaStreamSynchronize(state_->stream.get());  // the last copies may be on their way
  } catch (const Error&) {                        // the runtime is gone, and its work with it
  }
}

std::vector<Tensor> UploadAhead::upload(const std::vector<Tensor>& host) {
  const DeviceScope on(state_->device);
  check_not_captured("upload");
  Slot& slot = state_->slots[state_->next];
  state_->next = 1 - state_->next;
  state_->slots[state_->next].read.record(current_stream());  // all its readers have been asked for
  std::vector<Tensor> there = slot.tensors;
  there.resize(host.size());
  bool made = false;
  for (std::size_t i = 0; i < host.size(); ++i) {
    const Tensor& from = host[i];
    if (!from.defined()) {
      there[i] = {};
    } else if (!there[i].defined() || there[i].shape() != from.shape() || there[i].dtype() != from.dtype()) {
      there[i] = Tensor::empty(from.shape(), {from.dtype(), state_->device});
      made = true;
    }
  }
  slot.tensors = std::move(there);
  // A new block may be one that the one stream still uses for something else.
  if (made) slot.read.record(current_stream());
  slot.read.hold(state_->stream.get());
  for (std::size_t i = 0; i < host.size(); ++i)
    if (host[i].defined() && host[i].nbytes() > 0)
      state_->staging.to_device(slot.tensors[i].raw(), host[i].raw(), host[i].nbytes(), state_->stream.get());
  state_->copied.record(state_->stream.get());
  state_->copied.hold(current_stream());
  return slot.tensors;
}

std::shared_ptr<UploadAhead> make_upload_ahead(Device device) {
  return std::make_shared<UploadAhead>(device);
}

}  // namespace dcl::tensor::cuda
