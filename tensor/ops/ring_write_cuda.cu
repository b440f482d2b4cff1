#include "tensor/cuda/row_units.h"
#include "tensor/ops/ring_write.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 128;

// The pointer as a row of the ring, whatever it was.
__device__ std::int64_t wrapped(std::int64_t pointer, std::int64_t capacity) {
  const std::int64_t at = pointer % capacity;
  return at < 0 ? at + capacity : at;
}

// ring[(pointer + i) mod K] = rows[i]: units from the pointer's on, around the end.
template <class Unit>
__global__ void write_rows(std::int64_t units, std::int64_t row_units, std::int64_t capacity,
                           const std::int64_t* pointer, const Unit* __restrict__ rows,
                           Unit* __restrict__ ring) {
  const std::int64_t first = wrapped(*pointer, capacity) * row_units;
  const std::int64_t ring_units = capacity * row_units;
  for (const std::int64_t i : grid_stride(units)) {
    const std::int64_t at = first + i;
    ring[at < ring_units ? at : at - ring_units] = rows[i];
  }
}

// A kernel of its own: every block of write_rows has read the pointer when it begins.
__global__ void move_on(std::int64_t count, std::int64_t capacity, std::int64_t* pointer) {
  *pointer = (wrapped(*pointer, capacity) + count) % capacity;
}

}  // namespace

void ring_write(Tensor& ring, Tensor& pointer, const Tensor& rows) {
  check_ring_write(ring, pointer, rows);
  const std::int64_t capacity = ring.size(0);
  const std::int64_t count = rows.size(0);
  auto* at = pointer.data<std::int64_t>();
  if (rows.numel() > 0)
    with_row_unit("ring_write", rows.nbytes() / count, {&ring, &rows}, [&]<class Unit>() {
      const std::int64_t units = units_of<Unit>(rows);
      launch("ring_write", write_rows<Unit>, {.grid = blocks_for(units, kThreads), .block = dim3(kThreads)},
             units, units / count, capacity, at, static_cast<const Unit*>(rows.raw()),
             static_cast<Unit*>(ring.raw()));
    });
  launch("ring_write", move_on, {}, count, capacity, at);
}

}  // namespace dcl::tensor::cuda
