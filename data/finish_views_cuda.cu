#include "data/finish_views.h"
#include "data/pixel_math.h"
#include "data/view_steps.h"
#include "tensor/cuda/kernel.h"

// One block a picture, which stays in shared memory from the crop to the normalised view where it fits (224²
// pixels are 147 KiB of 227 KiB), and otherwise in global memory, by the same code.
namespace dcl::data::cuda {
namespace {

using namespace tensor::cuda;  // NOLINT(google-build-using-namespace): the language of kernels
using tensor::bfloat16;
using tensor::DType;

using Byte = std::uint8_t;

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kLevels = 256;

// Shared memory of a block beside the picture's: the table of levels, and block_sum's.
constexpr std::int64_t kStaticBytes = 4 << 10;

struct Size {
  int height;
  int width;
  int scratch;  // bytes of the second buffer: a row at least, and 32 columns or all

  __device__ int row_bytes() const { return 3 * width; }
  __device__ int bytes() const { return height * row_bytes(); }
};

__device__ Rgb load_rgb(const Byte* at) { return {at[0], at[1], at[2]}; }
__device__ void store_rgb(Byte* at, Rgb p) {
  at[0] = static_cast<Byte>(p.r);
  at[1] = static_cast<Byte>(p.g);
  at[2] = static_cast<Byte>(p.b);
}

// A whole picture, 16 bytes at a time where both lie so.
__device__ void copy_picture(const Byte* from, int bytes, Byte* to) {
  using Line = Pack<std::uint32_t, 4>;
  constexpr int kLine = sizeof(Line);
  const bool in_lines = reinterpret_cast<std::uintptr_t>(from) % kLine == 0 &&
                        reinterpret_cast<std::uintptr_t>(to) % kLine == 0;
  const int lines = in_lines ? bytes / kLine : 0;
  for (int i = static_cast<int>(threadIdx.x); i < lines; i += kThreads)
    reinterpret_cast<Line*>(to)[i] = reinterpret_cast<const Line*>(from)[i];
  for (int i = lines * kLine + static_cast<int>(threadIdx.x); i < bytes; i += kThreads) to[i] = from[i];
}

__device__ Rgb jittered(Rgb p, const ColorStep& step, int mean) {
  switch (step.kind) {
    case JitterKind::brightness:
      return blended(Rgb{0, 0, 0}, p, step.factor);
    case JitterKind::contrast:
      return blended(Rgb{mean, mean, mean}, p, step.factor);
    case JitterKind::saturation: {
      const int luma = luma_of(p);
      return blended(Rgb{luma, luma, luma}, p, step.factor);
    }
    case JitterKind::hue:
      return turned(p, step.turn);
  }
  return p;
}

// The place of the next change of contrast in the jitter, from `begin` on; `jitters` where there is none.
__device__ int next_contrast(const ViewSteps& steps, int begin) {
  int at = begin;
  while (at < steps.jitters && steps.jitter[at].kind != JitterKind::contrast) ++at;
  return at;
}

// Jitter and grayscale. A change of contrast needs the mean luma of what is there before it, so that the
// pixels are gone through up to there first. Each thread keeps to its pixels.
__device__ void change_colors(Byte* picture, int pixels, const ViewSteps& steps) {
  int mean = 0;
  int begin = 0;
  int end = next_contrast(steps, 0);
  while (true) {
    const bool last = end == steps.jitters;
    unsigned sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < pixels; i += kThreads) {
      Rgb p = load_rgb(picture + 3 * i);
      for (int step = begin; step < end; ++step) p = jittered(p, steps.jitter[step], mean);
      const int luma = luma_of(p);
      sum += static_cast<unsigned>(luma);
      store_rgb(picture + 3 * i, last && steps.grayscale ? Rgb{luma, luma, luma} : p);
    }
    if (last) return;
    mean = mean_luma(block_sum<kThreads>(static_cast<unsigned long long>(sum)),
                     static_cast<std::uint64_t>(pixels));
    begin = end;
    end = next_contrast(steps, end + 1);
  }
}

// A part of a picture: rows of bytes, `pitch` bytes apart.
struct Strip {
  Byte* bytes;
  int pitch;
};
struct Extent {
  int rows;
  int columns;  // bytes
};

// Calls `each(row, column)` for what is this thread's: the lanes of a warp go along a row.
template <class Each>
__device__ void for_each_byte(Extent extent, const Each& each) {
  for (int row = static_cast<int>(threadIdx.x) / kWarpSize; row < extent.rows; row += kWarps)
    for (int column = static_cast<int>(threadIdx.x) % kWarpSize; column < extent.columns; column += kWarpSize)
      each(row, column);
}

// A pass of the box, down whole columns or along whole rows; beyond the edges are the edges' pixels.
__device__ void box_pass(bool down, Strip in, Strip out, Extent extent, const BlurBox& box) {
  const int step = down ? in.pitch : 3;
  const int last = down ? extent.rows - 1 : extent.columns / 3 - 1;
  for_each_byte(extent, [&](int row, int column) {
    const Byte* const centre = in.bytes + row * in.pitch + column;
    const int before = down ? row : column / 3;
    const int behind = last - before;
    const auto both = [&](int distance) {
      return static_cast<unsigned>(centre[-(distance < before ? distance : before) * step]) +
             centre[(distance < behind ? distance : behind) * step];
    };
    unsigned inside = *centre;
    for (int k = 1; k <= box.radius; ++k) inside += both(k);
    out.bytes[row * out.pitch + column] = box_value(inside, box.weight, both(box.radius + 1), box.edge);
  });
  __syncthreads();
}

// Three passes, by way of the scratch strip and back.
__device__ void blur_strip(bool down, Strip strip, Byte* scratch, Extent extent, const BlurBox& box) {
  const Strip other{scratch, extent.columns};
  box_pass(down, strip, other, extent, box);
  box_pass(down, other, strip, extent, box);
  box_pass(down, strip, other, extent, box);
  for_each_byte(extent, [&](int row, int column) {
    strip.bytes[row * strip.pitch + column] = other.bytes[row * other.pitch + column];
  });
  __syncthreads();
}

__device__ void blur(Byte* picture, Byte* scratch, const Size& size, const BlurBox& box) {
  const int pitch = size.row_bytes();
  const int rows_at_once = size.scratch / pitch;
  for (int top = 0; top < size.height; top += rows_at_once)
    blur_strip(false, {picture + top * pitch, pitch}, scratch,
               {std::min(rows_at_once, size.height - top), pitch}, box);
  const int columns_at_once = size.scratch / size.height;
  for (int left = 0; left < pitch; left += columns_at_once)
    blur_strip(true, {picture + left, pitch}, scratch, {size.height, std::min(columns_at_once, pitch - left)},
               box);
}

// table[3 · level + channel]: what a level becomes by solarization and normalisation.
__device__ void fill_table(int threshold, float* table) {
  for (int i = static_cast<int>(threadIdx.x); i < 3 * kLevels; i += kThreads) {
    const int level = i / 3;
    table[i] = normalised(level < threshold ? level : 255 - level, i % 3);
  }
}

// The view from right to left where it is flipped, K numbers at a time, which divide its rows.
template <int K, class T>
__device__ void write_view(const Byte* picture, const Size& size, bool flip, const float* table, T* view) {
  const int columns = size.row_bytes();
  for_each_byte({size.height, columns / K}, [&](int row, int packs) {
    Pack<T, K> pack;
    for (int k = 0; k < K; ++k) {
      const int column = packs * K + k;
      const int channel = column % 3;
      const int from = flip ? columns - 3 - column + 2 * channel : column;
      pack.values[k] = T(table[3 * picture[row * columns + from] + channel]);
    }
    store_pack(view + row * columns + packs * K, pack);
  });
}

template <bool InShared, class T>
__global__ void __launch_bounds__(kThreads)
    finish(Size size, const Byte* crops, const ViewSteps* __restrict__ all_steps, Byte* workspace, T* views) {
  __shared__ float table[3 * kLevels];
  const std::int64_t bytes = size.bytes();
  Byte* picture;
  if constexpr (InShared)
    picture = dynamic_shared<Byte>();
  else
    picture = workspace + blockIdx.x * (bytes + size.scratch);
  Byte* const scratch = picture + bytes;
  const ViewSteps& steps = all_steps[blockIdx.x];
  const BlurBox box = steps.blur;

  fill_table(steps.solarize_threshold, table);
  copy_picture(crops + blockIdx.x * bytes, size.bytes(), picture);
  __syncthreads();
  if (steps.jitters > 0 || steps.grayscale) {
    change_colors(picture, size.height * size.width, steps);
    __syncthreads();
  }
  if (!box.changes_nothing()) blur(picture, scratch, size, box);
  T* const view = views + blockIdx.x * bytes;
  constexpr int kLine = 16 / sizeof(T);
  if (size.row_bytes() % kLine == 0)
    write_view<kLine>(picture, size, steps.flip, table, view);
  else
    write_view<1>(picture, size, steps.flip, table, view);
}

std::int64_t shared_bytes_of_a_block() {
#ifdef DCL_CUDA_EMULATED
  return 227 << 10;  // Hopper's
#else
  return device_properties(current_device()).shared_bytes_per_block;
#endif
}

// Scratch memory beside a picture of so many bytes in shared memory; 0 where it does not fit there.
std::int64_t shared_scratch(std::int64_t bytes, std::int64_t height, std::int64_t row_bytes) {
  const std::int64_t scratch = std::min(bytes, shared_bytes_of_a_block() - kStaticBytes - bytes);
  return scratch >= row_bytes && scratch >= std::min<std::int64_t>(row_bytes, kWarpSize) * height ? scratch
                                                                                                  : 0;
}

template <class T>
Tensor finish_all(const Tensor& crops, const Tensor& steps, DType type) {
  Tensor views = Tensor::empty(crops.shape(), {type, crops.device()});
  if (views.numel() == 0) return views;
  const std::int64_t pictures = crops.size(0);
  const std::int64_t bytes = crops.numel() / pictures;
  const std::int64_t in_shared = shared_scratch(bytes, crops.size(1), 3 * crops.size(2));
  const Size size{static_cast<int>(crops.size(1)), static_cast<int>(crops.size(2)),
                  static_cast<int>(in_shared > 0 ? in_shared : bytes)};
  const dim3 grid(static_cast<unsigned>(pictures));
  const auto* all_steps = static_cast<const ViewSteps*>(steps.raw());
  if (in_shared > 0) {
    launch(
        "finish_views", finish<true, T>,
        {.grid = grid, .block = dim3(kThreads), .shared_bytes = static_cast<std::size_t>(bytes + in_shared)},
        size, crops.data<Byte>(), all_steps, nullptr, views.data<T>());
  } else {
    Tensor workspace = Tensor::empty({pictures, 2 * bytes}, crops.options());
    launch("finish_views", finish<false, T>, {.grid = grid, .block = dim3(kThreads)}, size,
           crops.data<Byte>(), all_steps, workspace.data<Byte>(), views.data<T>());
  }
  return views;
}

}  // namespace

Tensor finish_views(const Tensor& crops, const Tensor& steps, DType type) {
  tensor::check_dtype("finish_views", "crops", crops, DType::uint8);
  tensor::check_dim("finish_views", "crops", crops, 4);
  tensor::check_shape("finish_views", "crops", crops, {crops.size(0), crops.size(1), crops.size(2), 3});
  tensor::check_dtype("finish_views", "steps", steps, DType::uint8);
  tensor::check_shape("finish_views", "steps", steps, {crops.size(0), std::int64_t{sizeof(ViewSteps)}});
  check(crops.numel() == 0 || crops.numel() / crops.size(0) <= INT32_MAX,
        "finish_views: a picture is too large: crops {}", crops.str());
  check(type == DType::float32 || type == DType::bfloat16,
        "finish_views: views of {} are asked for, expected float32 or bfloat16", tensor::name_of(type));
  return type == DType::float32 ? finish_all<float>(crops, steps, type)
                                : finish_all<bfloat16>(crops, steps, type);
}

}  // namespace dcl::data::cuda
