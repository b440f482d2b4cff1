// The stages of a picture's way at the recipe's sizes: a 640×480 photo of scenes' quality, a crop of 60 % of
// it, views of 224 px. Pictures a second; data/decode and the kernels of data/ are what is measured.
#include <cstdint>

#include <benchmark/benchmark.h>

#include "data/augment.h"
#include "data/blur.h"
#include "data/color.h"
#include "data/decode.h"
#include "data/resize.h"
#include "data/scenes/encode.h"

namespace {

using namespace dcl::data;

constexpr std::int64_t kWidth = 640;
constexpr std::int64_t kHeight = 480;
constexpr std::int64_t kSide = 224;
constexpr CropBox kCrop{.top = 50, .left = 100, .height = 380, .width = 480};

// Soft shapes and fine noise, so that coding and blurring have something to do.
Image some(std::int64_t width, std::int64_t height) {
  Image image(width, height);
  std::uint32_t noise = 1;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        noise = noise * 1664525U + 1013904223U;
        const std::int64_t wave = (x * (c + 2) / 5 + y * (4 - c) / 3) & 255;
        image.row(y)[3 * x + c] = static_cast<std::uint8_t>((wave < 128 ? wave : 255 - wave) + (noise >> 27));
      }
  return image;
}

void decoding(benchmark::State& state) {
  const Image image = some(kWidth, kHeight);
  const auto bytes = scenes::encode_jpeg(image.pixels, kWidth, kHeight, 90);
  for (auto _ : state) benchmark::DoNotOptimize(decode(bytes, "bench"));
}

void cropping_and_resizing(benchmark::State& state) {
  const Image image = some(kWidth, kHeight);
  for (auto _ : state) benchmark::DoNotOptimize(crop_resize(image, kCrop, kSide, kSide));
}

template <class Change>
void in_place(benchmark::State& state, const Change& change) {
  const Image view = some(kSide, kSide);
  Image work = view;
  for (auto _ : state) {
    work.pixels.assign(view.pixels.begin(), view.pixels.end());
    change(work);
    benchmark::DoNotOptimize(work.pixels.data());
  }
}

void copying(benchmark::State& state) {  // what in_place costs by itself
  in_place(state, [](Image& /*view*/) {});
}
void brightness(benchmark::State& state) {
  in_place(state, [](Image& view) { adjust_brightness(view, 1.2); });
}
void contrast(benchmark::State& state) {
  in_place(state, [](Image& view) { adjust_contrast(view, 1.2); });
}
void saturation(benchmark::State& state) {
  in_place(state, [](Image& view) { adjust_saturation(view, 1.2); });
}
void hue(benchmark::State& state) {
  in_place(state, [](Image& view) { adjust_hue(view, 0.05); });
}
void grey(benchmark::State& state) {
  in_place(state, [](Image& view) { grayscale(view); });
}
void flipping(benchmark::State& state) {
  in_place(state, [](Image& view) { flip(view); });
}
void blur(benchmark::State& state) {
  const double sigma = static_cast<double>(state.range(0)) / 10;
  in_place(state, [sigma](Image& view) { gaussian_blur(view, sigma); });
}
void normalising(benchmark::State& state) {
  const Image view = some(kSide, kSide);
  std::vector<float> out(view.pixels.size());
  for (auto _ : state) {
    normalise_view(view, out.data());
    benchmark::DoNotOptimize(out.data());
  }
}

BENCHMARK(decoding)->Unit(benchmark::kMicrosecond);
BENCHMARK(cropping_and_resizing)->Unit(benchmark::kMicrosecond);
BENCHMARK(copying)->Unit(benchmark::kMicrosecond);
BENCHMARK(brightness)->Unit(benchmark::kMicrosecond);
BENCHMARK(contrast)->Unit(benchmark::kMicrosecond);
BENCHMARK(saturation)->Unit(benchmark::kMicrosecond);
BENCHMARK(hue)->Unit(benchmark::kMicrosecond);
BENCHMARK(grey)->Unit(benchmark::kMicrosecond);
BENCHMARK(blur)->Arg(5)->Arg(10)->Arg(20)->Unit(benchmark::kMicrosecond);  // sigma in tenths
BENCHMARK(flipping)->Unit(benchmark::kMicrosecond);
BENCHMARK(normalising)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
