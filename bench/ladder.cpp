// ladder: one pass of a convolution from the loops of its formula to the fastest kernels. Each rung is
// checked against double precision and timed by turns with the one before. GFLOP/s are those of the formula
// in the rung's least time; "speed" is the least time of the rung before over it, in the same turns; errors
// are root mean squares, relative to that of the result and to the error of a plain float32 product. An error
// beyond the rung's bound (bench/ladder/rungs.cpp) is marked, and the exit status is then 1.
//
//   ladder                                                 # three of ResNet-50's shapes, all passes
//   ladder --side 14 --in 256 --out 256 --kernel 3 --pass forward --rounds 9
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <iostream>
#include <random>

#include "apps/support/command_line.h"
#include "apps/support/version.h"
#include "bench/ladder/rung.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/threads.h"

namespace dcl::bench {

namespace {

struct Layer {
  std::int64_t side = 0, in = 0, out = 0, kernel = 1, stride = 1;
};

struct Options {
  Layer layer;  // of side 0: the three of kLayers
  std::int64_t batch = 16;
  std::string pass = "all";
  int rounds = 5;
  int threads = 2;
};

constexpr std::array<Layer, 3> kLayers{{{56, 64, 256, 1, 1}, {28, 128, 128, 3, 1}, {224, 3, 64, 7, 2}}};
constexpr std::array<std::pair<const char*, Pass>, 3> kPasses{{{"forward", Pass::forward},
                                                               {"input_gradient", Pass::input_gradient},
                                                               {"weight_gradient", Pass::weight_gradient}}};

void add_flags(apps::CommandLine& line, Options& o) {
  constexpr std::int64_t kMany = 65536;
  line.option("--side", o.layer.side, "of the square picture; 0: three of ResNet-50's shapes", 0, kMany);
  line.option("--in", o.layer.in, "channels of the picture", 0, kMany);
  line.option("--out", o.layer.out, "channels of the result", 0, kMany);
  line.option("--kernel", o.layer.kernel, "side of the kernel; the padding is half of it", 1, 64);
  line.option("--stride", o.layer.stride, "stride", 1, 64);
  line.option("--batch", o.batch, "pictures", 1, kMany);
  line.choice("--pass", o.pass, "forward, input_gradient, weight_gradient or all",
              {{"all", "all"},
               {"forward", "forward"},
               {"input_gradient", "input_gradient"},
               {"weight_gradient", "weight_gradient"}});
  line.option("--rounds", o.rounds, "turns of a rung and the one before", 1, 1'000'000);
  line.option("--threads", o.threads, "threads", 1, 1024);
  line.check([&o] {
    const bool shape = o.layer.side > 0;
    dcl::check(shape == (o.layer.in > 0) && shape == (o.layer.out > 0),
               "--side, --in and --out belong together, expected all or none");
  });
}

// Normal numbers; x without the negative ones, as behind a ReLU.
Tensor random_tensor(const tensor::Shape& shape, unsigned seed, bool positive = false) {
  Tensor x = Tensor::empty(shape);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::generate_n(x.data<float>(), x.numel(), [&] {
    const float value = normal(random);
    return positive ? std::max(value, 0.0F) : value;
  });
  return x;
}

Problem problem_of(const Layer& layer, std::int64_t batch, Pass pass) {
  Problem p;
  p.pass = pass;
  p.x = random_tensor({batch, layer.side, layer.side, layer.in}, 1, true);
  p.weight = random_tensor({layer.out, layer.kernel, layer.kernel, layer.in}, 2);
  p.sizes = tensor::conv2d_sizes(p.x.shape(), p.weight.shape(),
                                 {.stride = layer.stride, .padding = layer.kernel / 2});
  p.dy = random_tensor(p.sizes.out_shape(), 3);
  return p;
}

double root_mean_square(const Tensor& x) {
  const auto values = x.to_vector<double>();
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double rms_error(const Tensor& result, const Tensor& truth) {
  Tensor difference = result.to(tensor::DType::float64);  // a copy: no result has that type
  const double* const t = truth.data<double>();
  double* const d = difference.data<double>();
  for (std::int64_t i = 0; i < difference.numel(); ++i) d[i] -= t[i];
  return root_mean_square(difference);
}

double ms_of(const Rung& rung) {
  const auto start = std::chrono::steady_clock::now();
  const Tensor result = rung.run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// Sorted.
using Times = std::vector<double>;

struct Turns {
  Times before, own;
};

// `before` may be null. Each runs once unwatched.
Turns take_turns(const Rung* before, const Rung& own, int rounds) {
  Turns turns;
  if (before != nullptr) before->run();
  own.run();
  for (int i = 0; i < rounds; ++i) {
    if (before != nullptr) turns.before.push_back(ms_of(*before));
    turns.own.push_back(ms_of(own));
  }
  std::sort(turns.before.begin(), turns.before.end());
  std::sort(turns.own.begin(), turns.own.end());
  return turns;
}

// The table of one problem; false where a rung broke its bound.
bool climb(const Problem& problem, const char* pass, int rounds) {
  fmt::print("\n{}, batch {}, {}: {:.2f} GFLOP\n\n", problem.sizes.str(), problem.sizes.batch, pass,
             problem.sizes.flop() * 1e-9);
  fmt::print(
      "| rung | least, ms | median, ms | GFLOP/s | speed | error | of a plain product's |\n"
      "|---|---|---|---|---|---|---|\n");
  const Tensor truth = exact(problem);
  const double size = root_mean_square(truth);
  const double plain = rms_error(im2col_product(problem), truth);
  bool holds = true;
  const Rung* before = nullptr;
  const auto rungs = rungs_of(problem);
  for (const auto& rung : rungs) {
    const double error = rms_error(rung.run(), truth);
    const bool within = error <= rung.of_plain * plain + rung.of_result * size;  // NaN is not
    const Turns turns = take_turns(before, rung, rounds);
    const double least = turns.own.front();
    const std::string speed = before ? fmt::format("{:.2f}", turns.before.front() / least) : "";
    fmt::print("| {} | {:.2f} | {:.2f} | {:.1f} | {} | {:.1e}{} | {:.2f} |\n", rung.name, least,
               turns.own[turns.own.size() / 2], problem.sizes.flop() / least * 1e-6, speed, error / size,
               within ? "" : " **beyond its bound**", error / plain);
    std::fflush(stdout);
    holds = holds && within;
    before = &rung;
  }
  return holds;
}

bool run(const Options& o) {
  tensor::cpu::set_num_threads(o.threads);
  fmt::print("{} threads, {} rounds; {}\n", o.threads, o.rounds, tensor::cpu::chosen_paths());
  std::vector<Layer> layers(kLayers.begin(), kLayers.end());
  if (o.layer.side > 0) layers = {o.layer};
  bool holds = true;
  for (const auto& layer : layers)
    for (const auto& [name, pass] : kPasses)
      if (o.pass == "all" || o.pass == name)
        holds = climb(problem_of(layer, o.batch, pass), name, o.rounds) && holds;
  return holds;
}

}  // namespace

}  // namespace dcl::bench

int main(int argc, char** argv) {
  dcl::apps::CommandLine line(
      "ladder", "Checks and times a convolution's kernels, each against the simpler one before.",
      [] { return dcl::apps::version_text("ladder"); });
  dcl::bench::Options options;
  dcl::bench::add_flags(line, options);
  return line.run(argc, argv, [&] { return dcl::bench::run(options) ? 0 : 1; });
}
