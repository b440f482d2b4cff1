// DenseCL's and MoCo-v2's encoder in LibTorch, with the authors' names of tensors below "encoder_q." and
// "encoder_k.": what a careful user of LibTorch would write.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

namespace dcl::bench {

struct EncoderOutput {
  torch::Tensor features;  // [N,C,h,w]
  torch::Tensor global;    // [N,128]
  torch::Tensor dense;     // [N,128,h,w]; undefined without the dense half
};

/// ResNet ("0") and neck ("1"). Throws std::invalid_argument for an `arch` it does not know.
class EncoderImpl : public torch::nn::Module {
 public:
  EncoderImpl(const std::string& arch, bool dense);
  torch::Tensor features(const torch::Tensor& pictures);  // [N,3,H,W] -> [N,C,h,w]
  EncoderOutput forward(const torch::Tensor& pictures);

 private:
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr};
  std::vector<torch::nn::Sequential> stages_;
  torch::nn::Sequential mlp_{nullptr}, mlp2_{nullptr};
};
TORCH_MODULE(Encoder);

}  // namespace dcl::bench
