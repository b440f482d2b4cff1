// The momentum encoder's step on a range of one parameter (ema_update.h). Compiled for several instruction
// sets, of which the best one for this processor is chosen at run time; none of them contracts a product and
// a sum, so that the bits are the same.
#pragma once

#include <cstdint>

namespace dcl::tensor::cpu {

/// target[i] = m·target[i] + (1 − m)·source[i]
template <class T>
using FollowSource = void (*)(std::int64_t n, double m, T* target, const T* source);

/// T is float or double.
template <class T>
FollowSource<T> follow_source();

}  // namespace dcl::tensor::cpu
