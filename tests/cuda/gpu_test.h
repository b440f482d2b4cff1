// What tests that need a GPU share, where they need it for what CUDA itself does (not for an op).
#pragma once

#include <gtest/gtest.h>

#include "tensor/device.h"

namespace dcl::test {

inline constexpr tensor::Device kGpu{tensor::DeviceType::cuda, 0};

/// Skips its tests, saying why, where there is no GPU.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = tensor::why_unusable(kGpu); !why.empty()) GTEST_SKIP() << why;
  }
};

}  // namespace dcl::test
