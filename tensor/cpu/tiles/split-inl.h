// Rounding and splitting of numbers, for the kernels of several files, each of which has included
// hwy/highway.h. No include guard of the usual kind: it is read once for every instruction set.
#if defined(DCL_SPLIT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef DCL_SPLIT_INL_H
#undef DCL_SPLIT_INL_H
#else
#define DCL_SPLIT_INL_H
#endif

#include <bit>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

// As bfloat16(float), on bits and without a branch, so that the compiler makes vectors of it.
HWY_INLINE std::uint32_t rounded(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t finite = (bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U;
  const std::uint32_t quiet = (bits & 0xFFFF0000U) | 0x400000U;
  return (bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : finite;
}

HWY_INLINE std::uint16_t upper(std::uint32_t bits) { return static_cast<std::uint16_t>(bits >> 16); }

HWY_INLINE void round(const float* HWY_RESTRICT x, std::int64_t n, std::uint16_t* HWY_RESTRICT out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = upper(rounded(x[i]));
}

HWY_INLINE void split(const float* HWY_RESTRICT x, std::int64_t n, std::uint16_t* HWY_RESTRICT out,
                      std::int64_t part_stride) {
  std::uint16_t* HWY_RESTRICT const mid_out = out + part_stride;
  std::uint16_t* HWY_RESTRICT const lo_out = mid_out + part_stride;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t hi = rounded(x[i]);
    const float rest = x[i] - std::bit_cast<float>(hi);
    const std::uint32_t mid = rounded(rest);
    out[i] = upper(hi);
    mid_out[i] = upper(mid);
    lo_out[i] = upper(rounded(rest - std::bit_cast<float>(mid)));
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#endif  // DCL_SPLIT_INL_H
