#include "tensor/cuda/row_units.h"
#include "tensor/ops/slice_rows.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 128;

// dx[begin + i] = dy[i] for i in [0, count), zeros elsewhere; all in units of `Unit`.
template <class Unit>
__global__ void place(std::int64_t n, std::int64_t begin, std::int64_t count, const Unit* __restrict__ grad_y,
                      Unit* __restrict__ grad_x) {
  for (const std::int64_t at : grid_stride(n)) {
    const std::int64_t i = at - begin;
    grad_x[at] = 0 <= i && i < count ? grad_y[i] : unit_of<Unit>(false);
  }
}

}  // namespace

Tensor slice_rows_backward(const Tensor& grad_y, const Shape& x_shape, std::int64_t begin) {
  check(grad_y.defined() && grad_y.dim() >= 1, "slice_rows: grad_y is {}, expected at least one dimension",
        grad_y.str());
  Tensor grad_x = Tensor::empty(x_shape, grad_y.options());
  const Tensor there = grad_x.rows(begin, begin + grad_y.size(0));
  check_shape("slice_rows", "grad_y", grad_y, there.shape());
  if (grad_x.numel() == 0) return grad_x;
  const std::int64_t row_bytes = grad_x.nbytes() / grad_x.size(0);
  with_row_unit("slice_rows", row_bytes, {&grad_x, &grad_y}, [&]<class Unit>() {
    const std::int64_t n = units_of<Unit>(grad_x);
    launch("slice_rows", place<Unit>, {.grid = blocks_for(n, kThreads), .block = dim3(kThreads)}, n,
           begin * (n / grad_x.size(0)), units_of<Unit>(grad_y), static_cast<const Unit*>(grad_y.raw()),
           static_cast<Unit*>(grad_x.raw()));
  });
  return grad_x;
}

}  // namespace dcl::tensor::cuda
