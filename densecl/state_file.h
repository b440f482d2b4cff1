// The model's state as the authors' files hold it: the same names, PyTorch's layouts.
#pragma once

#include <string>
#include <vector>

#include "densecl/model.h"

namespace dcl::densecl {

/// Copies of all of model.state() in file layout: weights [O,I,kH,kW], queues [C,K].
std::vector<NamedTensor> to_file_layout(const std::vector<NamedTensor>& state);
/// One tensor by its name.
Tensor to_file_layout(const std::string& name, const Tensor& tensor);
Tensor from_file_layout(const std::string& name, const Tensor& tensor);

/// Fills the model from `file`, which holds tensors in file layout. Throws, naming the tensor, where one of
/// the model's is missing or has another shape or type; the model is untouched then. What the model does not
/// have is passed over (momentum buffers, "backbone." twins).
void load_file_state(ContrastiveModel& model, const std::vector<NamedTensor>& file);

}  // namespace dcl::densecl
