#include "tensor/cuda/upload_ahead.h"

#include <array>

#include "tensor/cuda/emulated/stream.h"

namespace dcl::tensor::cuda {

struct UploadAhead::State {
  Device device;
  std::array<std::vector<Tensor>, 2> slots;
  std::size_t next = 0;
};

UploadAhead::UploadAhead(Device device) : state_(new State{device, {}, 0}) {}
UploadAhead::~UploadAhead() = default;

// At once, into memory that is used as the real one's is.
std::vector<Tensor> UploadAhead::upload(const std::vector<Tensor>& host) {
  emulated::check_may_wait("upload");
  std::vector<Tensor>& slot = state_->slots[state_->next];
  state_->next = 1 - state_->next;
  slot.resize(host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    const bool fits = slot[i].defined() && host[i].defined() && slot[i].shape() == host[i].shape() &&
                      slot[i].dtype() == host[i].dtype();
    if (fits) {
      slot[i].copy_from(host[i]);
    } else {
      slot[i] = host[i].defined() ? host[i].to(state_->device) : Tensor();
    }
  }
  return slot;
}

std::shared_ptr<UploadAhead> make_upload_ahead(Device device) {
  return std::make_shared<UploadAhead>(device);
}

}  // namespace dcl::tensor::cuda
