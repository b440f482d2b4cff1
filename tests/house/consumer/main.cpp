// Fits y = sin(3x) with a network of two layers.
#include <cmath>
#include <cstdio>
#include <memory>

#include "autograd/ops.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "optim/sgd.h"

using namespace dcl;

int main() {
  tensor::Tensor x = tensor::Tensor::empty({256, 1}), y = tensor::Tensor::empty({256, 1});
  tensor::RandomStream random({.seed = 1});
  for (int i = 0; i < 256; ++i) {
    x.data<float>()[i] = static_cast<float>(random.uniform(-1, 1));
    y.data<float>()[i] = std::sin(3 * x.data<float>()[i]);
  }
  const auto model = nn::sequential(std::make_unique<nn::Linear>(1, 32), std::make_unique<nn::Relu>(),
                                    std::make_unique<nn::Linear>(32, 1));
  for (auto& [name, parameter] : model->parameters())
    nn::fill_normal(parameter.mutable_value(), 0.5, nn::weight_key(0, name));
  optim::Sgd sgd(model->parameters(), {.momentum = 0.9, .weight_decay = 0});

  double first = 0, last = 0;
  for (int step = 0; step <= 200; ++step) {
    const autograd::Variable error = autograd::sub(model->forward(x), y);
    const autograd::Variable loss = autograd::mean(autograd::mul(error, error));
    sgd.zero_grad();
    backward(loss);
    sgd.step(tensor::Tensor::scalar(0.05));
    last = loss.value().item();
    if (step == 0) first = last;
    if (step % 50 == 0) std::printf("step %d loss %.6f\n", step, last);
  }
  return last < first / 10 ? 0 : 1;
}
