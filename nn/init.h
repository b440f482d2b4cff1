// Initialisers. The numbers depend on the key alone, so that a parameter keyed by its name starts the same in
// any program.
#pragma once

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace dcl::nn {

using tensor::Tensor;

/// Numbers that one output sums over: the product of all sizes but the first (weight [O,I] or [O,kH,kW,I]).
std::int64_t fan_in(const Tensor& weight);

void fill_normal(Tensor& weight, double std, const tensor::RandomKey& key);
/// Uniform in [-bound, bound).
void fill_uniform(Tensor& weight, double bound, const tensor::RandomKey& key);
/// Normal with std sqrt(2 / fan_in): He, Zhang, Ren, Sun, ICCV 2015, eq. 10 (PyTorch: mode fan_in, relu).
void kaiming_normal(Tensor& weight, const tensor::RandomKey& key);

/// The key of a parameter's first values.
tensor::RandomKey weight_key(std::uint64_t seed, std::string_view name);

}  // namespace dcl::nn
