// A warp's product of small bfloat16 matrices, summed in float32, and what feeds it: C[16,8] += A[16,16]
// B[16,8] (mma.sync m16n8k16). All 32 lanes of a warp of a one-dimensional block call every function
// together, but for copy_async and its kin, which each thread calls for itself.
//
// With g = lane / 4 and t = lane % 4 a lane holds (PTX ISA, "Matrix fragments for mma.m16n8k16"):
//   A   rows g, g+8, g, g+8, columns 2t, 2t+1 of the left half twice, then of the right half
//   B   rows 2t, 2t+1 of the upper half, then of the lower half; column g
//   C   row g columns 2t, 2t+1, then row g+8
// The emulation keeps to that, so that the arithmetic of whoever fills and reads fragments is tested.
#pragma once

#include <bit>

#include "tensor/cuda/kernel.h"

/// Before a loop over registers: they have no addresses, so it has to be written out.
#ifdef DCL_CUDA_EMULATED
#define DCL_UNROLL
#else
#define DCL_UNROLL _Pragma("unroll")
#endif

namespace dcl::tensor::cuda {

/// Four 8x8 matrices: one A, or two B side by side. Each register is two neighbours, the first in its lower
/// half.
struct Fragment {
  std::uint32_t pairs[4];
};

/// Two numbers rounded to nearest even.
__device__ inline std::uint32_t bfloat16_pair(float first, float second) {
#ifdef DCL_CUDA_EMULATED
  return bfloat16(first).bits | static_cast<std::uint32_t>(bfloat16(second).bits) << 16;
#else
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#endif
}

#ifdef DCL_CUDA_EMULATED
namespace emulated {

// What the lanes of a warp show each other at once.
template <class T>
T* of_warp() {
  static T all[32][kWarpSize];
  return all[threadIdx.x / kWarpSize];
}

template <bool Transposed>
Fragment load_matrices(const bfloat16* row) {
  auto* rows = of_warp<const bfloat16*>();
  const unsigned lane = threadIdx.x % kWarpSize;
  rows[lane] = row;
  __syncwarp();
  Fragment fragment;
  for (unsigned i = 0; i < 4; ++i) {
    const bfloat16* const* matrix = rows + i * 8;
    const unsigned at = lane / 4, pair = lane % 4 * 2;
    const bfloat16 first = Transposed ? matrix[pair][at] : matrix[at][pair];
    const bfloat16 second = Transposed ? matrix[pair + 1][at] : matrix[at][pair + 1];
    fragment.pairs[i] = first.bits | static_cast<std::uint32_t>(second.bits) << 16;
  }
  __syncwarp();
  return fragment;
}

struct Operands {
  std::uint32_t a[4], b[2];
};

// Element k of the 16 in the registers of `lanes`, which are those of one row of A or one column of B: `step`
// registers lie between the halves.
inline float element(const std::uint32_t* pairs, unsigned k, unsigned step) {
  const std::uint32_t pair = pairs[k / 8 * step];
  return std::bit_cast<float>(k % 2 == 0 ? pair << 16 : pair & 0xFFFF0000U);
}

}  // namespace emulated
#endif

/// Four 8x8 matrices from shared memory: lane l gives the address of row l % 8 of matrix l / 8, a multiple of
/// 16 bytes.
__device__ inline Fragment load_matrices(const bfloat16* row) {
#ifdef DCL_CUDA_EMULATED
  return emulated::load_matrices<false>(row);
#else
  Fragment f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.pairs[0]), "=r"(f.pairs[1]), "=r"(f.pairs[2]), "=r"(f.pairs[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
  return f;
#endif
}

/// The same, each matrix transposed.
__device__ inline Fragment load_matrices_transposed(const bfloat16* row) {
#ifdef DCL_CUDA_EMULATED
  return emulated::load_matrices<true>(row);
#else
  Fragment f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.pairs[0]), "=r"(f.pairs[1]), "=r"(f.pairs[2]), "=r"(f.pairs[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
  return f;
#endif
}

/// c += a b, where b is the `which`-th pair of registers of a fragment.
__device__ inline void multiply_add(float (&c)[4], const Fragment& a, const Fragment& b, int which) {
#ifdef DCL_CUDA_EMULATED
  auto* lanes = emulated::of_warp<emulated::Operands>();
  const unsigned lane = threadIdx.x % kWarpSize;
  lanes[lane] = {{a.pairs[0], a.pairs[1], a.pairs[2], a.pairs[3]},
                 {b.pairs[2 * which], b.pairs[2 * which + 1]}};
  __syncwarp();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4, column = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k)
      c[i] += emulated::element(lanes[row * 4 + k % 8 / 2].a + i / 2, k, 2) *
              emulated::element(lanes[column * 4 + k % 8 / 2].b, k, 1);
  }
  __syncwarp();
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.pairs[0]), "r"(a.pairs[1]), "r"(a.pairs[2]), "r"(a.pairs[3]), "r"(b.pairs[2 * which]),
        "r"(b.pairs[2 * which + 1]));
#endif
}

/// Begins to copy 16 bytes from global to shared memory; both addresses are multiples of 16.
__device__ inline void copy_async(bfloat16* to, const bfloat16* from) {
#ifdef DCL_CUDA_EMULATED
  store_pack(to, load_pack<8>(from));
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
#endif
}

/// Waits for all copies that this thread has begun; others see them after __syncthreads().
__device__ inline void wait_for_copies() {
#ifndef DCL_CUDA_EMULATED
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace dcl::tensor::cuda
