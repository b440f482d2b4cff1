#include <algorithm>

#include "tensor/ops/ring_write.h"

namespace dcl::tensor::cpu {

void ring_write(Tensor& ring, Tensor& pointer, const Tensor& rows) {
  check_ring_write(ring, pointer, rows);
  const std::int64_t capacity = ring.size(0);
  const std::int64_t count = rows.size(0);
  std::int64_t& at = *pointer.data<std::int64_t>();
  check(at >= 0 && at < capacity, "ring_write: the pointer is {}, expected 0 to {}", at, capacity - 1);
  const std::int64_t before_end = std::min(count, capacity - at);
  ring.rows(at, at + before_end).copy_from(rows.rows(0, before_end));
  ring.rows(0, count - before_end).copy_from(rows.rows(before_end, count));
  at = (at + count) % capacity;
}

}  // namespace dcl::tensor::cpu
