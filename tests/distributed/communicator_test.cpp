#include "distributed/communicator.h"

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::distributed {
namespace {

using dcl::test::expect_error;
using dcl::test::expect_same_bits;
using dcl::test::random_tensor;

TEST(Communicator, OneProcessIsRankZeroOfOne) {
  const auto single = single_process();
  EXPECT_EQ(single->rank(), 0);
  EXPECT_EQ(single->size(), 1);
  single->barrier();
}

TEST(Communicator, OneProcessKeepsItsNumbers) {
  const auto single = single_process();
  const Tensor x = random_tensor({4, 3}, 1);
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max}) {
    Tensor reduced = x.clone();
    single->all_reduce(reduced, op);
    expect_same_bits(reduced, x);
  }
  Tensor sent = x.clone();
  single->broadcast(sent, 0);
  expect_same_bits(sent, x);
  const Tensor gathered = single->all_gather(x);
  expect_same_bits(gathered, x);
  EXPECT_FALSE(gathered.shares_with(x));
}

TEST(Communicator, ChecksItsArguments) {
  const auto single = single_process();
  Tensor none;
  Tensor x = Tensor::zeros({2});
  Tensor bytes = Tensor::zeros({2}, {tensor::DType::uint8, {}});
  Tensor counts = Tensor::zeros({2}, {tensor::DType::int64, {}});
  expect_error([&] { single->all_reduce(none, ReduceOp::sum); }, {"all_reduce: x is undefined"});
  expect_error([&] { single->all_reduce(bytes, ReduceOp::sum); }, {"all_reduce: x is uint8 [2]"});
  expect_error([&] { single->all_reduce(counts, ReduceOp::mean); }, {"all_reduce: x is int64 [2]"});
  single->all_reduce(counts, ReduceOp::sum);
  expect_error([&] { single->broadcast(none, 0); }, {"broadcast: x is undefined"});
  expect_error([&] { single->broadcast(x, 1); }, {"broadcast: root is 1, expected 0 to 0"});
  expect_error([&] { single->broadcast(x, -1); }, {"broadcast: root is -1"});
  expect_error([&] { single->all_gather(none); }, {"all_gather: x is undefined"});
  expect_error([&] { single->all_gather(Tensor::zeros(tensor::Shape())); }, {"all_gather: x is a scalar"});
}

}  // namespace
}  // namespace dcl::distributed
