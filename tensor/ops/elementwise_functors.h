// The elementwise family, value and gradient side by side. The same lines run on the host and on the device,
// so what is tested on one is what runs on the other.
//
// A gradient takes the gradient of the result, `grad`, and multiplies the derivative into it (rather than
// returning the derivative), so that relu gives 0 and not NaN where an infinite gradient meets its flat side.
#pragma once

#include <cmath>

#include "tensor/host_device.h"

namespace dcl::tensor::functors {

// Unary ops. `saves_output` says what `gradient` gets: the result y, or the argument x.

struct Neg {
  static constexpr bool saves_output = true;  // either would do: -1 everywhere
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return -x;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T /*y*/, T grad) {
    return -grad;
  }
};

struct Exp {
  static constexpr bool saves_output = true;
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return std::exp(x);
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T y, T grad) {
    return grad * y;
  }
};

struct Log {
  static constexpr bool saves_output = false;
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return std::log(x);
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T x, T grad) {
    return grad / x;
  }
};

struct Sqrt {
  static constexpr bool saves_output = true;
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return std::sqrt(x);
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T y, T grad) {
    return grad / (y + y);
  }
};

struct Tanh {
  static constexpr bool saves_output = true;
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return std::tanh(x);
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T y, T grad) {
    return grad * (T(1) - y * y);
  }
};

// 1 / (1 + exp(-x)). For x far below 0 exp(-x) is infinite and the quotient 0, as it should be.
struct Sigmoid {
  static constexpr bool saves_output = true;
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return T(1) / (T(1) + std::exp(-x));
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T y, T grad) {
    return grad * y * (T(1) - y);
  }
};

// NaN stays NaN: a broken activation has to be seen, not turned into 0.
struct Relu {
  static constexpr bool saves_output = true;
  template <class T>
  DCL_HOST_DEVICE static T value(T x) {
    return x <= T(0) ? T(0) : x;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient(T y, T grad) {
    return y <= T(0) ? T(0) : grad;
  }
};

// Binary ops.

struct Add {
  template <class T>
  DCL_HOST_DEVICE static T value(T a, T b) {
    return a + b;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_a(T /*a*/, T /*b*/, T grad) {
    return grad;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_b(T /*a*/, T /*b*/, T grad) {
    return grad;
  }
};

struct Sub {
  template <class T>
  DCL_HOST_DEVICE static T value(T a, T b) {
    return a - b;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_a(T /*a*/, T /*b*/, T grad) {
    return grad;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_b(T /*a*/, T /*b*/, T grad) {
    return -grad;
  }
};

struct Mul {
  template <class T>
  DCL_HOST_DEVICE static T value(T a, T b) {
    return a * b;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_a(T /*a*/, T b, T grad) {
    return grad * b;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_b(T a, T /*b*/, T grad) {
    return grad * a;
  }
};

struct Div {
  template <class T>
  DCL_HOST_DEVICE static T value(T a, T b) {
    return a / b;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_a(T /*a*/, T b, T grad) {
    return grad / b;
  }
  template <class T>
  DCL_HOST_DEVICE static T gradient_b(T a, T b, T grad) {
    return -grad * (a / b) / b;
  }
};

}  // namespace dcl::tensor::functors
