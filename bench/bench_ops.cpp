// bench_ops: times each operation of a training step by itself, at the sizes of a network. A line of JSON for
// each: its name, what it is, operations and bytes, and the least of its times in milliseconds. With --list
// nothing is timed: bench/torch_ops.py reads those lines and times the same (bench/ops_race.sh). With
// --precision bf16 activations are bfloat16; the rows that are float32 nevertheless say so in their names.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>

#include "apps/support/command_line.h"
#include "apps/support/version.h"
#include "bench/ops/op.h"
#include "tensor/cpu/threads.h"

namespace dcl::bench {

Tensor random_tensor(const Shape& shape, DType dtype) {
  Tensor x = Tensor::empty(shape);
  std::minstd_rand random;  // fast, and good enough for times
  std::generate_n(x.data<float>(), x.numel(), [&] { return static_cast<float>(random()) * 0x1p-30F - 1; });
  return x.to(dtype);
}

namespace {

struct Options {
  Network network;
  std::string precision = "f32";
  std::string only;
  int threads = 2;
  int milliseconds = 200;
  bool list = false;
};

void add_flags(apps::CommandLine& line, Options& o) {
  constexpr std::int64_t kMany = 1'000'000'000;
  line.option("--arch", o.network.arch, "resnet18, 34, 50, 101 or 152");
  line.option("--size", o.network.size, "side of a picture in pixels", 32, 4096);
  line.option("--batch", o.network.batch, "pictures", 1, kMany);
  line.option("--queue", o.network.queue, "keys of the losses", 1, kMany);
  line.choice("--precision", o.precision, "f32 or bf16", {{"f32", "f32"}, {"fp32", "f32"}, {"bf16", "bf16"}});
  line.option("--threads", o.threads, "threads", 1, 1024);
  line.option("--time", o.milliseconds, "milliseconds for each operation, after a warm-up", 1, 1'000'000);
  line.option("--only", o.only, "operations whose names have this in them");
  line.option("--list", o.list, "say what would be timed");
  line.check([&o] { o.network.activations = o.precision == "bf16" ? DType::bfloat16 : DType::float32; });
}

double seconds_of(const std::function<void()>& run, int times) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / times;
}

// The least of samples of about a millisecond or of one call, three of them at least: whatever else the
// machine does only ever makes them longer.
double least_ms(const std::function<void()>& run, int milliseconds) {
  const double limit = milliseconds * 1e-3;
  run();
  const double once = seconds_of(run, 1);
  const int calls = std::clamp(static_cast<int>(1e-3 / once), 1, 1000);
  double least = once;
  double total = 0;
  for (int samples = 0; total < limit || samples < 3; ++samples) {
    const double sample = seconds_of(run, calls);
    total += sample * calls;
    least = std::min(least, sample);
  }
  return least * 1e3;
}

void run(const Options& o) {
  tensor::cpu::set_num_threads(o.threads);
  Ops ops;
  add_convolutions(o.network, ops);
  add_norms_and_pools(o.network, ops);
  add_heads_and_losses(o.network, ops);
  add_updates(o.network, ops);
  for (const auto& op : ops) {
    if (op.name.find(o.only) == std::string::npos) continue;
    const bool says_float32 = op.float32 && o.network.activations != DType::float32;
    nlohmann::ordered_json line{{"name", op.name + (says_float32 ? " (float32)" : "")},
                                {"precision", o.precision},
                                {"limit_ms", o.milliseconds},
                                {"flop", op.flop},
                                {"bytes", op.bytes}};
    line.update(op.what);
    if (!o.list) line["ms"] = least_ms(op.prepare(), o.milliseconds);
    std::cout << line.dump() << '\n' << std::flush;
  }
}

}  // namespace

}  // namespace dcl::bench

int main(int argc, char** argv) {
  dcl::apps::CommandLine line("bench_ops", "Times each operation of a training step by itself.",
                              [] { return dcl::apps::version_text("bench_ops"); });
  dcl::bench::Options options;
  dcl::bench::add_flags(line, options);
  return line.run(argc, argv, [&] {
    dcl::bench::run(options);
    return 0;
  });
}
