#include "tensor/ops/ring_write.h"

namespace dcl::tensor {

void check_ring_write(const Tensor& ring, const Tensor& pointer, const Tensor& rows) {
  check_dim("ring_write", "ring", ring, 2);
  check_dim("ring_write", "rows", rows, 2);
  check_shape("ring_write", "pointer", pointer, {1});
  check_dtype("ring_write", "pointer", pointer, DType::int64);
  check_dtype("ring_write", "rows", rows, ring.dtype());
  check_same_device("ring_write", "rows", rows, ring);
  check_same_device("ring_write", "pointer", pointer, ring);
  check(rows.size(1) == ring.size(1), "ring_write: rows are {} wide, the ring {} (rows {}, ring {})",
        rows.size(1), ring.size(1), rows.shape().str(), ring.shape().str());
  check(rows.size(0) <= ring.size(0), "ring_write: {} rows do not fit into a ring of {}", rows.size(0),
        ring.size(0));
  check(ring.size(0) > 0, "ring_write: the ring {} has no rows", ring.shape().str());
}

}  // namespace dcl::tensor
