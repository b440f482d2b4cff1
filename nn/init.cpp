#include "nn/init.h"

#include <cmath>

namespace dcl::nn {

namespace {
template <class Draw>
void fill_with(Tensor& weight, const char* name, const Draw& draw) {
  Tensor drawn = Tensor::empty(weight.shape(), {weight.dtype(), {}});  // the same bits on every device
  tensor::dispatch_float(weight.dtype(), name, [&]<class T>() {
    T* values = drawn.data<T>();
    for (std::int64_t i = 0; i < weight.numel(); ++i) values[i] = static_cast<T>(draw());
  });
  weight.copy_from(drawn);
}
}  // namespace

std::int64_t fan_in(const Tensor& weight) {
  check(weight.dim() >= 2 && weight.size(0) > 0, "init: fan_in of {}, expected [O,I] or [O,kH,kW,I]",
        weight.shape().str());
  return weight.numel() / weight.size(0);
}

void fill_normal(Tensor& weight, double std, const tensor::RandomKey& key) {
  tensor::RandomStream random(key);
  fill_with(weight, "fill_normal", [&] { return std * random.normal(); });
}

void fill_uniform(Tensor& weight, double bound, const tensor::RandomKey& key) {
  tensor::RandomStream random(key);
  fill_with(weight, "fill_uniform", [&] { return random.uniform(-bound, bound); });
}

void kaiming_normal(Tensor& weight, const tensor::RandomKey& key) {
  fill_normal(weight, std::sqrt(2.0 / static_cast<double>(fan_in(weight))), key);
}

tensor::RandomKey weight_key(std::uint64_t seed, std::string_view name) {
  return {.seed = seed, .purpose = tensor::Purpose::weights, .sample = tensor::hash_name(name)};
}

}  // namespace dcl::nn
