// Pieces of every length around a vector's, on every instruction set; what lies beside them stays.
#include "tensor/cpu/copy_runs.h"

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/microkernel.h"
#include "tests/support/vector_targets.h"

namespace dcl::tensor::cpu {
namespace {

TEST(CopyRuns, CopiesThePiecesAndNothingElse) {
  const auto chosen = [] { return std::string(microkernel<float>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    for (const std::int64_t bytes : {1, 15, 16, 18, 31, 32, 42, 63, 64, 65, 84, 150})
      for (const std::int64_t runs : {1, 2, 7}) {
        const std::int64_t pitch = bytes + 3;
        std::vector<std::uint8_t> source(static_cast<std::size_t>(pitch * (runs - 1) + bytes));  // no more
        std::iota(source.begin(), source.end(), std::uint8_t{1});
        std::vector<std::uint8_t> out(static_cast<std::size_t>(bytes * runs + 64), 255);
        auto expected = out;
        for (std::int64_t i = 0; i < bytes * runs; ++i)
          expected[static_cast<std::size_t>(i)] =
              source[static_cast<std::size_t>(i / bytes * pitch + i % bytes)];
        copy_runs()(source.data(), pitch, runs, bytes, out.data());
        ASSERT_EQ(out, expected) << target << ", " << runs << " of " << bytes;
      }
  });
}

}  // namespace
}  // namespace dcl::tensor::cpu
