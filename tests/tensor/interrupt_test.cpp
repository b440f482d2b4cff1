// Leaving between two ops.
#include "tensor/interrupt.h"

#include <thread>

#include <gtest/gtest.h>

#include "tensor/ops/elementwise.h"
#include "tensor/tensor.h"

namespace dcl::tensor {
namespace {

TEST(Interrupt, StopsTheNextOpOfItsThreadOnlyWhileItsScopeLives) {
  const Tensor one = Tensor::scalar(1);
  const auto add_once = [&] { return DCL_ON_DEVICE(one.device(), add(one, one)); };
  bool wanted = false;
  {
    const InterruptScope scope([&] { return wanted; });
    EXPECT_EQ(add_once().item(), 2);
    wanted = true;
    EXPECT_THROW(add_once(), Interrupted);
    {
      const InterruptScope inner(nullptr);
      EXPECT_EQ(add_once().item(), 2);
    }
    EXPECT_THROW(add_once(), Interrupted);
    double elsewhere = 0;
    std::thread([&] { elsewhere = add_once().item(); }).join();
    EXPECT_EQ(elsewhere, 2);
  }
  EXPECT_EQ(add_once().item(), 2);
}

}  // namespace
}  // namespace dcl::tensor
