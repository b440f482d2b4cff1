// The rungs in their order. What the engine has is called as the engine calls it.
#include "bench/ladder/rung.h"
#include "tensor/cpu/conv2d_fast.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/conv2d_tiles.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tensor/cpu/winograd.h"

namespace dcl::bench {

namespace {

namespace cpu = tensor::cpu;
using tensor::bfloat16;
using tensor::DType;

// One sum after the other in the order of the formula: the weight gradient has sums of 50,000 terms.
constexpr double kLoops = 100;
constexpr double kProduct = 4;   // sums cut elsewhere: one chain of 384 terms where BLAS has several
constexpr double kWinograd = 8;  // tests/ops/winograd_test.cpp
// One chain of six times as many terms, of which vdpbf16ps rounds every pair (AMX rounds once for 32 of them
// and stays below kProduct); the engine takes them with AMX only.
constexpr double kSixProducts = 8;
constexpr double kBfloat16 = 0x1p-8;  // half of a bfloat16's last place

// The engine's operation with its plain path: im2col of a picture at a time.
Tensor reference(const Problem& p) {
  const cpu::FastPathsScope plain(false);
  if (p.pass == Pass::forward) return cpu::conv2d(p.x, p.weight, {}, p.sizes.params);
  if (p.pass == Pass::input_gradient)
    return cpu::conv2d_backward_input(p.dy, p.weight, p.x.shape(), p.sizes.params);
  return cpu::conv2d_backward_weight(p.dy, p.x, p.weight.shape(), p.sizes.params);
}

Tensor packed(const Problem& p) {
  Tensor result = p.result();
  const float* const x = p.x.data<float>();
  const float* const weight = p.weight.data<float>();
  const float* const dy = p.dy.data<float>();
  auto* const to = result.data<float>();
  if (p.pass == Pass::forward) cpu::conv2d_fast<float>(p.sizes, x, weight, {}, to);
  if (p.pass == Pass::input_gradient) cpu::conv2d_backward_input_fast(p.sizes, dy, weight, to);
  if (p.pass == Pass::weight_gradient) cpu::conv2d_backward_weight_fast(p.sizes, dy, x, to);
  return result;
}

std::function<Tensor()> packed_before(const Problem& p) {
  return [p, weight = cpu::pack_weight(p.weight.shape(), 1, p.weight.data<float>())] {
    Tensor y = p.result();
    cpu::conv2d_fast<float>(p.sizes, p.x.data<float>(), weight, {}, y.data<float>());
    return y;
  };
}

Tensor winograd(const Problem& p) {
  Tensor result = p.result();
  const float* const x = p.x.data<float>();
  const float* const weight = p.weight.data<float>();
  const float* const dy = p.dy.data<float>();
  auto* const to = result.data<float>();
  if (p.pass == Pass::forward) cpu::conv2d_winograd<float>(p.sizes, x, weight, {}, to);
  if (p.pass == Pass::input_gradient) cpu::conv2d_backward_input_winograd(p.sizes, dy, weight, to);
  if (p.pass == Pass::weight_gradient) cpu::conv2d_backward_weight_winograd(p.sizes, dy, x, to);
  return result;
}

// x and dy of type T; the weight and its gradient are float32.
template <class T>
Tensor tiles(const Problem& p) {
  constexpr DType kActivations = tensor::dtype_of<T>;
  Tensor result = p.result(p.pass == Pass::weight_gradient ? DType::float32 : kActivations);
  const float* const weight = p.weight.data<float>();
  if (p.pass == Pass::forward) cpu::conv2d_tiles(p.sizes, p.x.data<T>(), weight, {}, result.data<T>());
  if (p.pass == Pass::input_gradient)
    cpu::conv2d_backward_input_tiles(p.sizes, p.dy.data<T>(), weight, result.data<T>());
  if (p.pass == Pass::weight_gradient)
    cpu::conv2d_backward_weight_tiles(p.sizes, p.dy.data<T>(), p.x.data<T>(), result.data<float>());
  return result;
}

}  // namespace

tensor::Shape Problem::result_shape() const {
  if (pass == Pass::forward) return dy.shape();
  return pass == Pass::input_gradient ? x.shape() : weight.shape();
}

Tensor Problem::result(DType dtype) const { return Tensor::empty(result_shape(), {dtype, {}}); }

std::vector<Rung> rungs_of(const Problem& p) {
  std::vector<Rung> rungs;
  rungs.push_back({"loops of the formula", [p] { return loops(p); }, kLoops});
  rungs.push_back({kPlainProduct, [p] { return im2col_product(p); }, kProduct});
  rungs.push_back({"im2col a picture at a time (BLAS)", [p] { return reference(p); }, kProduct});
  if (has_rows_in_place(p.sizes))
    rungs.push_back({"rows where they lie (BLAS)", [p] { return product_in_place(p); }, kProduct});
  rungs.push_back({"own microkernel, windows gathered by tiles", [p] { return packed(p); }, kProduct});
  if (p.pass == Pass::forward)
    rungs.push_back({"the same, weight packed before", packed_before(p), kProduct});
  if (cpu::winograd_fits(p.sizes))
    rungs.push_back({"Winograd F(4x4, 3x3)", [p] { return winograd(p); }, kWinograd});
  const auto path = cpu::tile_path();
  const bool amx = path == cpu::TilePath::amx || path == cpu::TilePath::amx_emulated;
  rungs.push_back(
      {"six bfloat16 products by tiles", [p] { return tiles<float>(p); }, amx ? kProduct : kSixProducts});
  const Problem halves{p.sizes, p.pass, p.x.to(DType::bfloat16), p.weight, p.dy.to(DType::bfloat16)};
  rungs.push_back({"bfloat16 by tiles", [halves] { return tiles<bfloat16>(halves); }, 0, kBfloat16});
  return rungs;
}

}  // namespace dcl::bench
