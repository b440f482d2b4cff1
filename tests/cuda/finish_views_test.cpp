#include "data/finish_views.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/augment.h"
#include "data/color_kernels.h"
#include "data/finish_batch.h"
#include "data/pixel_math.h"
#include "data/view_steps.h"
#include "densecl/augment_config.h"
#include "tests/cuda/cuda_rows.h"
#include "tests/support/jpeg_source.h"

namespace dcl::test {
namespace {

using data::Image;
using data::Jitter;
using data::JitterKind;
using data::ViewParams;
using tensor::DType;

struct Size {
  std::int64_t width;
  std::int64_t height;
};

// A pixel; a row and a column; rows of 16 bytes and not; more pixels than threads; one whose blur takes
// several strips of shared memory; two that are in global memory, by their bytes and by their columns.
const std::vector<Size>& sizes() {
  static const std::vector<Size> all{{1, 1},   {5, 1},   {1, 3},     {2, 2},     {31, 33},   {32, 32},
                                     {64, 64}, {200, 7}, {224, 224}, {227, 223}, {288, 280}, {11, 4000}};
  return all;
}

class Views {
 public:
  explicit Views(Size size) : size_(size) {}
  void add(const ViewParams& params) {
    crops_.push_back(drawn_picture(size_.width, size_.height, crops_.size() + 1));
    params_.push_back(params);
  }

  Tensor crops() const {
    Tensor all = empty({size_.height, size_.width, 3}, DType::uint8);
    auto* to = all.data<std::uint8_t>();
    for (const Image& crop : crops_) to = std::copy(crop.pixels.begin(), crop.pixels.end(), to);
    return all;
  }
  Tensor steps() const {
    Tensor all = empty({sizeof(data::ViewSteps)}, DType::uint8);
    auto* to = all.data<std::uint8_t>();
    for (const ViewParams& params : params_) {
      const data::ViewSteps steps = view_steps(params);
      std::memcpy(to, &steps, sizeof steps);
      to += sizeof steps;
    }
    return all;
  }
  Tensor expected() const {
    Tensor all = empty({size_.height, size_.width, 3}, DType::float32);
    auto* to = all.data<float>();
    for (std::size_t i = 0; i < crops_.size(); ++i) {
      Image view = crops_[i];
      change_view(view, params_[i]);
      normalise_view(view, to);
      to += view.pixels.size();
    }
    return all;
  }

 private:
  Tensor empty(std::vector<std::int64_t> of_each, DType type) const {
    of_each.insert(of_each.begin(), static_cast<std::int64_t>(crops_.size()));
    return Tensor::empty(tensor::Shape(of_each), {type, {}});
  }

  Size size_;
  std::vector<Image> crops_;
  std::vector<ViewParams> params_;
};

// By how many levels the pixels of two normalised views differ at most, and how many of them do.
std::string difference(const Tensor& actual, const Tensor& expected) {
  const auto level = [](const Tensor& view, std::int64_t i) {
    const auto channel = static_cast<int>(i % 3);
    return std::lround(
        (view.data<float>()[i] * data::channel_deviation(channel) + data::channel_mean(channel)) * 255);
  };
  std::int64_t most = 0;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < expected.numel(); ++i) {
    const std::int64_t levels = std::abs(level(actual, i) - level(expected, i));
    most = std::max(most, levels);
    count += levels > 0 ? 1 : 0;
  }
  return fmt::format("{} of {} bytes differ, by {} levels at most", count, expected.numel(), most);
}

void expect_the_cpus(const Views& views) {
  const PoisonedMemory poisoned;
  const Tensor crops = on_device(views.crops());
  const Tensor steps = on_device(views.steps());
  const Tensor expected = views.expected();
  const Tensor actual = to_host(data::cuda::finish_views(crops, steps, DType::float32));
  SCOPED_TRACE(difference(actual, expected));
  expect_same_bits(actual, expected);
}

// Jitter that only `jitter` changes something in: the factor of the others is 1, a hue's 0.
ViewParams only(Jitter jitter) {
  ViewParams params;
  params.jitter = {Jitter{JitterKind::brightness, 1}, Jitter{JitterKind::contrast, 1},
                   Jitter{JitterKind::saturation, 1}, Jitter{JitterKind::hue, 0}};
  (*params.jitter)[static_cast<std::size_t>(jitter.kind)] = jitter;
  return params;
}

std::vector<ViewParams> stages_alone() {
  std::vector<ViewParams> all(1);
  for (const double factor : {0.0, 0.6, 1.0, 1.37, 3.0})
    for (const JitterKind kind : {JitterKind::brightness, JitterKind::contrast, JitterKind::saturation})
      all.push_back(only({kind, factor}));
  for (const double factor : {-0.5, -0.1, 0.03, 0.5}) all.push_back(only({JitterKind::hue, factor}));
  for (const double sigma : {0.0, 0.1, 1.0, 2.0, 9.0, 60.0}) all.emplace_back().blur_sigma = sigma;
  for (const int threshold : {0, 1, 128, 255, 256}) all.emplace_back().solarize_threshold = threshold;
  all.emplace_back().grayscale = true;
  all.emplace_back().flip = true;
  return all;
}

TEST(CudaFinishViews, EachStageAloneGivesTheCpusBytes) {
  DCL_NEEDS_DEVICE();
  for (const Size size : sizes()) {
    SCOPED_TRACE(fmt::format("{} x {}", size.width, size.height));
    Views views(size);
    for (const ViewParams& params : stages_alone()) views.add(params);
    expect_the_cpus(views);
    expect_same_bits(to_host(data::cuda::finish_views(on_device(views.crops()), on_device(views.steps()),
                                                      DType::bfloat16)),
                     views.expected().to(DType::bfloat16));
  }
}

// The jitter in every order, and contrast more than once, each of what is there by then.
TEST(CudaFinishViews, JitterInEveryOrderGivesTheCpusBytes) {
  DCL_NEEDS_DEVICE();
  std::array<Jitter, 4> jitter{Jitter{JitterKind::brightness, 1.3}, Jitter{JitterKind::contrast, 0.7},
                               Jitter{JitterKind::saturation, 1.4}, Jitter{JitterKind::hue, -0.07}};
  const auto before = [](const Jitter& a, const Jitter& b) { return a.kind < b.kind; };
  Views views({47, 53});
  do {
    ViewParams params;
    params.jitter = jitter;
    params.grayscale = params.flip = jitter[0].kind == JitterKind::hue;
    views.add(params);
  } while (std::next_permutation(jitter.begin(), jitter.end(), before));
  for (Jitter& each : jitter) each.kind = JitterKind::contrast;
  ViewParams params;
  params.jitter = jitter;
  views.add(params);
  expect_the_cpus(views);
}

TEST(CudaFinishViews, WhatIsDrawnByEveryRecipeGivesTheCpusBytes) {
  DCL_NEEDS_DEVICE();
  std::vector<data::ViewOptions> options;
  for (const auto& recipe : densecl::augment_recipes())
    for (const std::size_t view : {0, 1}) options.push_back(recipe.options.of_view(view));
  data::ViewOptions everything;
  everything.jitter_probability = everything.blur_probability = everything.solarize_probability = 1;
  everything.hue = 0.5;
  everything.brightness = everything.contrast = everything.saturation = 2;
  options.push_back(everything);
  for (const Size size : sizes()) {
    SCOPED_TRACE(fmt::format("{} x {}", size.width, size.height));
    const int draws = size.width * size.height > 10000 ? 2 : 12;
    Views views(size);
    for (const auto& each : options)
      for (int i = 0; i < draws; ++i) {
        tensor::RandomStream random({.seed = 3,
                                     .purpose = tensor::Purpose::augmentation,
                                     .sample = static_cast<std::uint64_t>(size.width * 1000 + i)});
        views.add(draw_view(size.width, size.height, each, random));
      }
    expect_the_cpus(views);
  }
}

TEST(CudaFinishViews, TheLoadersCropsBecomeTheViewsOfTheCpu) {
  DCL_NEEDS_DEVICE();
  data::LoaderOptions options{.batch = 4, .workers = 1};
  for (const auto& recipe : densecl::augment_recipes()) {
    SCOPED_TRACE(recipe.name);
    options.augment = recipe.options;
    options.augment.image_size = 48;
    options.views = data::ViewStage::finished;
    data::Loader cpus(std::make_shared<JpegSource>(), options);
    options.views = data::ViewStage::crop;
    data::Loader crops(std::make_shared<JpegSource>(), options);
    for (int i = 0; i < 4; ++i) {
      const data::Batch expected = cpus.next();
      data::Batch batch = crops.next();
#ifdef DCL_CUDA_EMULATED
      batch.query_view = data::cuda::finish_views(batch.query_view, batch.query_steps, DType::float32);
      batch.key_view = data::cuda::finish_views(batch.key_view, batch.key_steps, DType::float32);
#else
      batch = to_device(batch, {tensor::DeviceType::cuda, 0});
      EXPECT_FALSE(batch.query_steps.defined() || batch.key_steps.defined());
#endif
      expect_same_bits(to_host(batch.query_view), expected.query_view);
      expect_same_bits(to_host(batch.key_view), expected.key_view);
    }
  }
}

TEST(CudaFinishViews, NoPictures) {
  DCL_NEEDS_DEVICE();
  const Views none({4, 3});
  EXPECT_EQ(
      data::cuda::finish_views(on_device(none.crops()), on_device(none.steps()), DType::float32).shape(),
      (Shape{0, 3, 4, 3}));
}

TEST(CudaFinishViews, WhatDoesNotFitIsNamed) {
  DCL_NEEDS_DEVICE();
  Views views({4, 3});
  views.add({});
  const auto refuse = [&](const Tensor& crops, const Tensor& steps, DType type,
                          std::initializer_list<std::string_view> parts) {
    expect_error([&] { data::cuda::finish_views(on_device(crops), on_device(steps), type); }, parts);
  };
  const Tensor crops = views.crops();
  const Tensor steps = views.steps();
  refuse(crops.to(DType::float32), steps, DType::float32, {"finish_views: crops is float32", "uint8"});
  refuse(crops.reshape({3, 4, 3}), steps, DType::float32, {"finish_views: crops"});
  refuse(crops.reshape({1, 3, 3, 4}), steps, DType::float32, {"finish_views: crops", "[1,3,3,4]"});
  refuse(crops, steps.reshape({2, -1}), DType::float32, {"finish_views: steps"});
  refuse(crops, steps, DType::float64, {"finish_views: views of float64", "float32 or bfloat16"});
}

// The arithmetic of the kernel on the host, against the vectors of the CPU, which stages_test.cpp holds
// against Pillow's for every colour.
TEST(PixelMath, HueOfEveryColourIsTheCpus) {
  std::vector<std::uint8_t> row(3 * 256);
  for (const int turn : {0, 25, 231})
    for (int r = 0; r < 256; r += turn == 0 ? 1 : 5)
      for (int g = 0; g < 256; ++g) {
        auto* to = row.data();
        for (int b = 0; b < 256; ++b)
          for (const int channel : {r, g, b}) *to++ = static_cast<std::uint8_t>(channel);
        data::color_kernels().turn_hue(row.data(), 256, static_cast<std::uint8_t>(turn));
        for (int b = 0; b < 256; ++b) {
          const data::Rgb p = data::turned({r, g, b}, turn);
          const std::uint8_t* const expected = row.data() + 3 * static_cast<std::ptrdiff_t>(b);
          ASSERT_TRUE(p.r == expected[0] && p.g == expected[1] && p.b == expected[2])
              << r << ' ' << g << ' ' << b << " turned by " << turn;
        }
      }
}

TEST(PixelMath, NormalisedLevelsAreTheCpus) {
  Image levels(256, 1);
  for (std::size_t i = 0; i < levels.pixels.size(); ++i) levels.pixels[i] = static_cast<std::uint8_t>(i / 3);
  std::vector<float> expected(levels.pixels.size());
  normalise_view(levels, expected.data());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(data::normalised(static_cast<int>(i / 3), static_cast<int>(i % 3)), expected[i]);
}

}  // namespace
}  // namespace dcl::test
