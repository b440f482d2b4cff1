#include "tensor/cuda/row_units.h"
#include "tensor/ops/gather_rows.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 128;

// y[i] = x[index[i]] in units of `Unit`, which divide rows and addresses.
template <class Unit>
__global__ void copy_rows(std::int64_t units, std::int64_t row_units, std::int64_t rows, const Unit* x,
                          const std::int64_t* index, Unit* y) {
  for (const std::int64_t at : grid_stride(units)) {
    const std::int64_t i = at / row_units;
    const std::int64_t r = index[i];
    y[at] = 0 <= r && r < rows ? x[r * row_units + at % row_units] : unit_of<Unit>(true);
  }
}

// dx[r] = sum over i with index[i] = r of dy[i], in the order of i: one block a row; each warp finds the i.
template <class T>
__global__ void add_rows(std::int64_t count, std::int64_t columns, const T* grad_y, const std::int64_t* index,
                         T* grad_x) {
  const std::int64_t r = blockIdx.x;
  const unsigned lane = threadIdx.x % kWarpSize;
  for (std::int64_t first = 0; first < columns; first += blockDim.x) {
    const std::int64_t column = first + threadIdx.x;
    T sum = 0;
    for (std::int64_t begin = 0; begin < count; begin += kWarpSize) {
      const std::int64_t i = begin + lane;
      unsigned found = __ballot_sync(kAllLanes, i < count && index[i] == r);
      for (; found != 0; found &= found - 1) {
        const std::int64_t row = begin + lowest_lane(found);
        if (column < columns) sum += grad_y[row * columns + column];
      }
    }
    if (column < columns) grad_x[r * columns + column] = sum;
  }
}

}  // namespace

Tensor gather_rows(const Tensor& x, const Tensor& index) {
  check(x.defined(), "gather_rows: x is undefined");
  check_same_device("gather_rows", "index", index, x);
  Tensor y = Tensor::empty(gather_rows_shape(x.shape(), index), x.options());
  if (y.numel() == 0) return y;
  with_row_unit("gather_rows", y.nbytes() / y.size(0), {&x, &y}, [&]<class Unit>() {
    const std::int64_t units = units_of<Unit>(y);
    launch("gather_rows", copy_rows<Unit>, {.grid = blocks_for(units, kThreads), .block = dim3(kThreads)},
           units, units / y.size(0), x.size(0), static_cast<const Unit*>(x.raw()), index.data<std::int64_t>(),
           static_cast<Unit*>(y.raw()));
  });
  return y;
}

Tensor gather_rows_backward(const Tensor& grad_y, const Tensor& index, const Shape& x_shape) {
  check_shape("gather_rows", "grad_y", grad_y, gather_rows_shape(x_shape, index));
  return dispatch_float(grad_y.dtype(), "gather_rows", [&]<class T>() {
    Tensor grad_x = Tensor::empty(x_shape, grad_y.options());
    if (grad_x.numel() == 0) return grad_x;
    const std::int64_t rows = x_shape[0];
    launch("gather_rows", add_rows<T>, {.grid = dim3(static_cast<unsigned>(rows)), .block = dim3(kThreads)},
           index.numel(), grad_x.numel() / rows, grad_y.data<T>(), index.data<std::int64_t>(),
           grad_x.data<T>());
    return grad_x;
  });
}

}  // namespace dcl::tensor::cuda
