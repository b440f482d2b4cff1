// dweight[o,k] = sum_m dy[m,o] · im2col(x)[m,k]: both operands are packed from their rows as they lie, in
// blocks of at most kMaxDepth rows m, and nothing is transposed.
#include <algorithm>
#include <array>

#include "tensor/cpu/conv2d_fast.h"
#include "tensor/cpu/im2col.h"
#include "tensor/cpu/multiply_tile.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Panels of im2col(x) packed at a time: 12 x 32 columns x 320 rows of floats are 480 KiB of second-level
// cache.
constexpr std::int64_t kPanelsAtOnce = 12;
// A gradient of up to this many numbers is summed in parts, one a range of rows; a larger one is shared out
// by columns.
constexpr std::int64_t kMaxPartialSize = 1 << 16;
constexpr std::int64_t kMaxParts = 16;

struct Range {
  std::int64_t begin, end;
};

template <class T>
struct Operands {
  const T* dy;  // [rows,dy_stride], at the group's first channel
  std::int64_t dy_stride;
  std::int64_t out_channels;  // of the group
  Windows<T> windows;
};

// One thread's share: the sum over a range of rows m, of a range of columns k.
template <class T>
class PartialGradient {
 public:
  explicit PartialGradient(const Operands<T>& operands)
      : operands_(operands),
        strips_(divide_up(operands.out_channels, kernel_.narrow_rows)),
        dy_row_(Tensor::zeros({strips_ * kernel_.narrow_rows + kernel_.narrow_stride}, options)),
        dy_panels_(Tensor::empty({strips_, kMaxDepth, kernel_.narrow_stride}, options)),
        x_row_(Tensor::zeros({kPanelsAtOnce * kernel_.cols}, options)),
        x_panels_(Tensor::empty({kPanelsAtOnce, kMaxDepth, kernel_.cols}, options)) {}

  /// Overwrites columns `panels`·cols of `out` [out_channels, depth].
  void run(Range rows, Range panels, T* out) {
    const std::int64_t blocks = std::max<std::int64_t>(1, divide_up(rows.end - rows.begin, kMaxDepth));
    for (std::int64_t block = 0; block < blocks; ++block) {
      const Range m{rows.begin + (rows.end - rows.begin) * block / blocks,
                    rows.begin + (rows.end - rows.begin) * (block + 1) / blocks};
      pack_dy(m);
      for (std::int64_t first = panels.begin; first < panels.end; first += kPanelsAtOnce) {
        const Range group{first, std::min(first + kPanelsAtOnce, panels.end)};
        pack_x(m, group);
        multiply(m, group, block == 0, out);
      }
    }
  }

 private:
  static constexpr TensorOptions options{dtype_of<T>, {}};

  void pack_dy(Range m) {
    T* const row = dy_row_.template data<T>();
    for (std::int64_t i = m.begin; i < m.end; ++i) {
      std::copy_n(operands_.dy + i * operands_.dy_stride, operands_.out_channels, row);
      kernel_.scatter_row(row, strips_, kernel_.narrow_rows, kernel_.narrow_stride,
                          dy_panels_.template data<T>() + (i - m.begin) * kernel_.narrow_stride,
                          kMaxDepth * kernel_.narrow_stride);
    }
  }

  void pack_x(Range m, Range panels) {
    const std::int64_t begin = panels.begin * kernel_.cols;
    const std::int64_t end = std::min(panels.end * kernel_.cols, operands_.windows.depth());
    WindowReader<T> reader(operands_.windows, m.begin, begin, end);
    T* const row = x_row_.template data<T>();
    for (std::int64_t i = m.begin; i < m.end; ++i) {
      reader.read(row);
      kernel_.scatter_row(row, panels.end - panels.begin, kernel_.cols, kernel_.cols,
                          x_panels_.template data<T>() + (i - m.begin) * kernel_.cols,
                          kMaxDepth * kernel_.cols);
    }
  }

  void multiply(Range m, Range panels, bool overwrite, T* out) {
    const std::int64_t depth = operands_.windows.depth();
    for (std::int64_t strip = 0; strip < strips_; ++strip) {
      const std::int64_t o = strip * kernel_.narrow_rows;
      const std::int64_t rows = std::min(kernel_.narrow_rows, operands_.out_channels - o);
      for (std::int64_t panel = panels.begin; panel < panels.end; ++panel) {
        const std::int64_t column = panel * kernel_.cols;
        std::array<T*, kMaxTileRows> y{};
        for (std::int64_t i = 0; i < rows; ++i)
          y[static_cast<std::size_t>(i)] = out + (o + i) * depth + column;
        multiply_tile<T>(
            kernel_.run_columns,
            {.a = dy_panels_.template data<T>() + strip * kMaxDepth * kernel_.narrow_stride,
             .b = x_panels_.template data<T>() + (panel - panels.begin) * kMaxDepth * kernel_.cols,
             .depth = m.end - m.begin},
            overwrite ? kNoBias.data() : nullptr,
            {.tile_rows = kernel_.narrow_rows,
             .tile_cols = kernel_.cols,
             .rows = rows,
             .cols = std::min(kernel_.cols, depth - column)},
            y.data());
      }
    }
  }

  alignas(64) static constexpr std::array<T, kMaxTileCols> kNoBias{};

  const Microkernel<T>& kernel_ = microkernel<T>();
  const Operands<T>& operands_;
  std::int64_t strips_;
  Tensor dy_row_, dy_panels_, x_row_, x_panels_;
};

template <class T>
void sum_parts(const T* parts, std::int64_t count, std::int64_t size, T* out) {
  parallel_for(size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    std::copy(parts + begin, parts + end, out + begin);
    for (std::int64_t part = 1; part < count; ++part)
      for (std::int64_t i = begin; i < end; ++i) out[i] += parts[part * size + i];
  });
}

// How the sum is cut depends on the sizes only, so that the bits do not depend on the number of threads.
template <class T>
void weight_gradient(const Operands<T>& operands, std::int64_t rows, T* out) {
  const std::int64_t size = operands.out_channels * operands.windows.depth();
  const std::int64_t panels = divide_up(operands.windows.depth(), microkernel<T>().cols);
  const std::int64_t parts = std::min(kMaxParts, rows / (2 * kMaxDepth));
  if (size > kMaxPartialSize || parts < 2) {
    parallel_for(panels, 1, [&](std::int64_t first, std::int64_t last) {
      PartialGradient<T>(operands).run({0, rows}, {first, last}, out);
    });
    return;
  }
  Tensor partial = Tensor::empty({parts, size}, {dtype_of<T>, {}});
  T* const values = partial.data<T>();
  parallel_for(parts, 1, [&](std::int64_t first, std::int64_t last) {
    PartialGradient<T> gradient(operands);
    for (std::int64_t part = first; part < last; ++part)
      gradient.run({rows * part / parts, rows * (part + 1) / parts}, {0, panels}, values + part * size);
  });
  sum_parts(values, parts, size, out);
}

}  // namespace

template <class T>
void conv2d_backward_weight_fast(const Conv2dSizes& z, const T* dy, const T* x, T* dweight) {
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    const Operands<T> operands{.dy = dy + g * z.group_out(),
                               .dy_stride = z.out_channels,
                               .out_channels = z.group_out(),
                               .windows = forward_windows(z, x, g)};
    weight_gradient(operands, z.out_rows(), dweight + g * z.group_out() * operands.windows.depth());
  }
}

template void conv2d_backward_weight_fast<float>(const Conv2dSizes&, const float*, const float*, float*);
template void conv2d_backward_weight_fast<double>(const Conv2dSizes&, const double*, const double*, double*);

}  // namespace dcl::tensor::cpu
