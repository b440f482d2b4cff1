#include "distributed/communicator.h"

#include <utility>

namespace dcl::distributed {

void Communicator::all_reduce(Tensor& x, ReduceOp op) {
  check(x.defined(), "all_reduce: x is undefined");
  const tensor::DType dtype = x.dtype();
  const bool integer = dtype == tensor::DType::int64 && op != ReduceOp::mean;
  check(dtype == tensor::DType::float32 || dtype == tensor::DType::float64 || integer,
        "all_reduce: x is {}, expected float32 or float64 (or int64, but for mean)", x.str());
  do_all_reduce(x, op);
}

void Communicator::broadcast(Tensor& x, int root) {
  check(x.defined(), "broadcast: x is undefined");
  check(0 <= root && root < size(), "broadcast: root is {}, expected 0 to {}", root, size() - 1);
  do_broadcast(x, root);
}

Tensor Communicator::all_gather(const Tensor& x) {
  check(x.defined(), "all_gather: x is undefined");
  check(x.dim() >= 1, "all_gather: x is a scalar, expected rows");
  std::vector<std::int64_t> sizes = x.shape().sizes();
  sizes[0] *= size();
  Tensor gathered = Tensor::empty(tensor::Shape(std::move(sizes)), x.options());
  do_all_gather(x, gathered);
  return gathered;
}

void Communicator::barrier() { do_barrier(); }

}  // namespace dcl::distributed
