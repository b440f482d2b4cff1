// Convolutions by tiles of bfloat16 products, on every path that this processor has and on emulated AMX tiles,
// against the plain convolution in float64.
#include "tensor/cpu/tiles/conv2d_tiles.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/features.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

namespace cpu = tensor::cpu;
using tensor::bfloat16;
using tensor::Conv2dParams;
using tensor::Conv2dSizes;
using tensor::DType;

struct Row {
  Shape x;  // [N,H,W,I]
  std::int64_t out_channels, kernel;
  Conv2dParams params;
};

// In place, from a copy of one picture, of several and of bands of a large one, gathered; whole blocks and strips
// and others; strides, dilation, groups; kernels larger than the picture; phases that no output has read.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{{{2, 7, 9, 64}, 48, 1, {}},
                                    {{1, 5, 5, 20}, 33, 1, {}},
                                    {{3, 9, 8, 32}, 40, 1, {.stride = 2}},
                                    {{5, 7, 7, 64}, 32, 3, {.padding = 1}},
                                    {{1, 33, 70, 64}, 32, 3, {.padding = 1}},
                                    {{2, 80, 62, 128}, 16, 3, {.padding = 1}},
                                    {{2, 6, 5, 40}, 70, 3, {.padding = 1}},
                                    {{2, 9, 9, 48}, 32, 3, {.padding = 2, .dilation = 2}},
                                    {{2, 9, 11, 32}, 32, 3, {.stride = 2, .padding = 1}},
                                    {{1, 23, 20, 3}, 64, 7, {.stride = 2, .padding = 3}},
                                    {{1, 2, 2, 32}, 32, 5, {.padding = 2}},
                                    {{1, 8, 8, 32}, 8, 3, {.padding = 0}},
                                    {{2, 6, 6, 64}, 64, 3, {.padding = 1, .groups = 2}},
                                    {{1, 1, 1, 1}, 1, 1, {}},
                                    {{1, 30, 30, 7}, 5, 2, {.stride = 3}},
                                    {{0, 4, 4, 8}, 8, 3, {.padding = 1}}};
  return all;
}

std::string name_of(const Row& row) {
  return fmt::format("x {}, {} channels, kernel {}, stride {}, padding {}, dilation {}, groups {}", row.x.str(),
                     row.out_channels, row.kernel, row.params.stride, row.params.padding, row.params.dilation,
                     row.params.groups);
}

struct Results {
  Tensor y, dx, dweight;
};

class Case {
 public:
  explicit Case(const Row& row)
      : params_(row.params),
        x_(random_tensor(row.x, 1)),
        weight_(random_tensor({row.out_channels, row.kernel, row.kernel, row.x[3] / row.params.groups}, 2)),
        bias_(random_tensor({row.out_channels}, 3)),
        sizes_(tensor::conv2d_sizes(x_.shape(), weight_.shape(), params_)),
        dy_(random_tensor(sizes_.out_shape(), 4)) {}

  /// Of the operands as type T has them, in float64.
  Results exact(DType type) const {
    const auto as = [&](const Tensor& x) { return x.to(type).to(DType::float64); };
    const bool before = cpu::fast_paths();
    cpu::set_fast_paths(false);
    Results all{cpu::conv2d(as(x_), as(weight_), bias_.to(DType::float32).to(DType::float64), params_),
                cpu::conv2d_backward_input(as(dy_), as(weight_), x_.shape(), params_),
                cpu::conv2d_backward_weight(as(dy_), as(x_), weight_.shape(), params_)};
    cpu::set_fast_paths(before);
    return all;
  }

  template <class T>
  Results tiles() const {
    const DType type = tensor::dtype_of<T>;
    const Tensor x = x_.to(type);
    const Tensor dy = dy_.to(type);
    const Tensor weight = weight_.to(DType::float32);
    const Tensor bias = bias_.to(DType::float32);
    Results all{Tensor::empty(sizes_.out_shape(), x.options()), empty_like(x), empty_like(weight)};
    cpu::conv2d_tiles<T>(sizes_, x.data<T>(), weight.data<float>(), bias.data<float>(), all.y.data<T>());
    cpu::conv2d_backward_input_tiles<T>(sizes_, dy.data<T>(), weight.data<float>(), all.dx.data<T>());
    cpu::conv2d_backward_weight_tiles<T>(sizes_, dy.data<T>(), x.data<T>(), all.dweight.data<float>());
    return all;
  }

 private:
  Conv2dParams params_;
  Tensor x_, weight_, bias_;
  Conv2dSizes sizes_;
  Tensor dy_;
};

// Runs `body` on every path, then on the one from before.
void on_every_tile_path(const std::function<void(const std::string& name)>& body) {
  const auto before = cpu::tile_path();
  for (const auto path : cpu::tile_paths()) {
    cpu::set_tile_path(path);
    body(cpu::tile_kernel().name);
  }
  cpu::set_tile_path(before);
}

TEST(Tiles, ConvolveBfloat16OnEveryPath) {
  // Sums are float32's; y and dx are rounded to 8 bits once.
  constexpr Tolerance kRounded{4e-3, 2e-4};
  constexpr Tolerance kSummed{1e-4, 1e-4};
  on_every_tile_path([&](const std::string& path) {
    for (const Row& row : rows()) {
      const Case each(row);
      const Results actual = each.tiles<bfloat16>();
      const Results expected = each.exact(DType::bfloat16);
      const std::string what = path + ", " + name_of(row);
      expect_close(actual.y.to(DType::float64), expected.y, kRounded, what + ": y");
      expect_close(actual.dx.to(DType::float64), expected.dx, kRounded, what + ": dx");
      expect_close(actual.dweight.to(DType::float64), expected.dweight, kSummed, what + ": dweight");
    }
  });
}

TEST(Tiles, ConvolveFloat32OnEveryPath) {
  constexpr Tolerance kFloat{1e-4, 1e-4};
  on_every_tile_path([&](const std::string& path) {
    for (const Row& row : rows()) {
      const Case each(row);
      const Results actual = each.tiles<float>();
      const Results expected = each.exact(DType::float32);
      const std::string what = path + ", " + name_of(row);
      expect_close(actual.y.to(DType::float64), expected.y, kFloat, what + ": y");
      expect_close(actual.dx.to(DType::float64), expected.dx, kFloat, what + ": dx");
      expect_close(actual.dweight.to(DType::float64), expected.dweight, kFloat, what + ": dweight");
    }
  });
}

}  // namespace
}  // namespace dcl::test
