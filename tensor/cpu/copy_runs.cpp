#include "tensor/cpu/copy_runs.h"

#include <algorithm>

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/copy_runs.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

void copy(const void* source, std::int64_t pitch, std::int64_t runs, std::int64_t bytes, void* out) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t whole = bytes / lanes * lanes;
  const auto rest = hn::FirstN(d, static_cast<std::size_t>(bytes - whole));
  const auto* from = static_cast<const std::uint8_t*>(source);
  auto* to = static_cast<std::uint8_t*>(out);
  for (std::int64_t run = 0; run < runs; ++run, from += pitch, to += bytes) {
    for (std::int64_t i = 0; i < whole; i += lanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
    if (whole == bytes) continue;
    // Without masks for memory (below AVX-512) such an access would touch what lies behind.
    if (HWY_MEM_OPS_MIGHT_FAULT)
      std::copy(from + whole, from + bytes, to + whole);
    else
      hn::BlendedStore(hn::MaskedLoad(rest, d, from + whole), rest, d, to + whole);
  }
}

CopyRuns chosen_copy() { return copy; }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(chosen_copy, CopyRuns copy_runs())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
