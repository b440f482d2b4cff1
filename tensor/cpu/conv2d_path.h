// Which of the ways to convolve is taken.
#pragma once

#include <cstdint>

#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

enum class Conv2dPath : std::uint8_t { plain, packed, winograd };

/// Where the weight is packed in each call.
Conv2dPath conv2d_path(const Conv2dSizes& z);
/// Where it has been packed before: then what counts of a few tiles' transformed kernels is to read them.
Conv2dPath prepacked_conv2d_path(const Conv2dSizes& z);

/// The same two in bfloat16, where `packed` stands for tiles.
Conv2dPath bfloat16_conv2d_path(const Conv2dSizes& z);
Conv2dPath bfloat16_prepacked_conv2d_path(const Conv2dSizes& z);

/// True where six products by tiles are faster in float32 than `path`, which is that of these sizes.
bool tiles_pay(const Conv2dSizes& z, Conv2dPath path);
/// The same of the weight's gradient.
bool gradient_tiles_pay(const Conv2dSizes& z, Conv2dPath path);
/// From then on they are taken wherever they can be, on processors with tiles: for tests on small pictures.
/// Not to be called while an op runs.
void take_all_tiles(bool enabled);
bool takes_all_tiles();

}  // namespace dcl::tensor::cpu
