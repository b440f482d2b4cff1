// bench_step: times one training step of DenseCL or MoCo-v2, or the backbone's features in evaluation mode,
// on random pictures that stay in memory: the step, not the loader. Last on standard output: one line of JSON
// with the median over the timed steps, pairs (or pictures) a second, and the peak resident memory.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <iostream>
#include <numeric>
#include <optional>

#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/support/command_line.h"
#include "densecl/expected_memory.h"
#include "densecl/model.h"
#include "densecl/report/dense_half.h"
#include "densecl/report/profile_report.h"
#include "densecl/state_file.h"
#include "nn/folded_resnet.h"
#include "nn/state.h"
#include "optim/sgd.h"
#include "tensor/cpu/threads.h"
#include "tensor/cuda/graph.h"
#include "tensor/io/safetensors.h"
#include "tensor/random.h"

namespace {

using dcl::tensor::Tensor;
namespace densecl = dcl::densecl;
namespace tensor = dcl::tensor;

struct Options {
  std::string arch = "resnet50";
  std::int64_t size = 224;
  std::int64_t batch = 16;
  std::int64_t queue = 65536;
  std::string method = "densecl";
  std::string precision = "fp32";
  std::string device = "cpu";
  std::string cuda_graph = "auto";
  int threads = 2;
  int steps = 6;
  int warmup = 2;
  bool profile = false;
  bool dense_half = false;
  std::string start;
};

void add_flags(dcl::apps::CommandLine& line, Options& o) {
  constexpr std::int64_t kMany = 1'000'000'000;
  line.option("--arch", o.arch, "resnet18, 34, 50, 101 or 152");
  line.option("--size", o.size, "side of a view in pixels", 32, 4096);
  line.option("--batch", o.batch, "pairs a step", 1, kMany);
  line.option("--queue", o.queue, "keys a queue", 1, kMany);
  line.choice("--method", o.method, "densecl, mocov2 or forward",
              {{"densecl", "densecl"}, {"mocov2", "mocov2"}, {"moco_v2", "mocov2"}, {"forward", "forward"}});
  line.choice("--precision", o.precision, "fp32 or bf16",
              {{"fp32", "fp32"}, {"f32", "fp32"}, {"bf16", "bf16"}});
  line.choice("--device", o.device, "cpu or cuda", {{"cpu", "cpu"}, {"cuda", "cuda"}});
  line.choice("--cuda-graph", o.cuda_graph, "auto, on or off: the step as one CUDA graph; auto: on a GPU",
              {{"auto", "auto"}, {"on", "on"}, {"off", "off"}});
  line.option("--threads", o.threads, "threads", 1, 1024);
  line.option("--steps", o.steps, "timed steps", 1, 1'000'000);
  line.option("--warmup", o.warmup, "steps before them", 0, 1'000'000);
  line.option("--start", o.start, "write here what it begins with, and print the loss of each step");
  line.option("--profile", o.profile, "print where the time of the timed steps went, op by op");
  line.option(
      "--dense-half", o.dense_half,
      "print what the dense half took, and what its operations take at the rate of this run's other 1x1 "
      "convolutions");
  line.check([&o] {
    tensor::check_device("--device cuda", tensor::device_named(o.device));
    dcl::check(!o.dense_half || o.method == "densecl", "--dense-half: --method {} has none", o.method);
    dcl::check(o.device == "cuda" || o.cuda_graph != "on", "--cuda-graph on: expected --device cuda");
    dcl::check(o.cuda_graph != "on" || !(o.profile || o.dense_half),
               "--cuda-graph on: its ops cannot be told apart, expected no --profile and no --dense-half");
    dcl::check(
        o.device == "cpu" || o.method != "forward",
        "--method forward: features in evaluation mode are computed by the CPU, expected --device cpu");
  });
}

std::int64_t resident_mib() {
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE) >> 20;
}

// By the formula of densecl/expected_memory.h; the evaluation mode keeps nothing.
double expected_mib(const densecl::ContrastiveModel& model, const Options& o) {
  return densecl::expected_memory(
             model, {.arch = o.arch, .image_size = o.size, .part = o.batch, .pictures = o.batch})
      .total();
}

std::int64_t peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

Tensor random_pictures(const Options& o, std::uint8_t view) {
  Tensor pictures = Tensor::empty({o.batch, o.size, o.size, 3});
  tensor::RandomStream random({.purpose = tensor::Purpose::test, .view = view});
  std::generate_n(pictures.data<float>(), pictures.numel(),
                  [&] { return static_cast<float>(random.normal()); });
  return pictures;
}

// What another program needs to take the same steps: see bench/libtorch/.
void write_start(const densecl::ContrastiveModel& model, const Options& o) {
  std::vector<tensor::io::NamedTensor> all;
  for (const auto& [name, each] : densecl::to_file_layout(model.state())) all.push_back({name, each});
  all.push_back({"view_q", dcl::nn::to_pytorch_layout(random_pictures(o, 0))});
  all.push_back({"view_k", dcl::nn::to_pytorch_layout(random_pictures(o, 1))});
  tensor::io::write_safetensors(o.start, all);
}

// A step; it gives its loss, which on a GPU is not waited for.
std::function<Tensor()> training_step(densecl::ContrastiveModel& model, dcl::optim::Sgd& sgd,
                                      const Options& o) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(o.batch));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  const tensor::TensorOptions options = model.options().options;
  const tensor::Device device = options.device;
  return [&model, &sgd, query = random_pictures(o, 0).to(device), key = random_pictures(o, 1).to(device),
          lr = Tensor::scalar(0.03, options), lambda = Tensor::scalar(0.5, options),
          permutation = Tensor::from(order, {o.batch}).to(device)] {
    const auto out = model.forward(query, key, permutation, lambda);
    dcl::autograd::backward(out.loss);
    sgd.step(lr);
    sgd.zero_grad();  // here, as the trainer does: the next forward pass has their memory
    model.enqueue(out.keys, out.dense_keys);
    return out.loss.value();
  };
}

// The same step as a CUDA graph, captured when `step` has run twice: the second time nothing is new to it.
std::function<Tensor()> as_graph(std::function<Tensor()> step) {
  if constexpr (tensor::has_cuda) {
    struct Graph {
      int eager = 2;
      Tensor loss;
      std::shared_ptr<tensor::cuda::WorkGraph> work;
    };
    return [step = std::move(step), graph = std::make_shared<Graph>()] {
      if (graph->eager-- > 0) return step();
      if (graph->work == nullptr) {
        graph->work = tensor::cuda::make_work_graph(tensor::device_named("cuda"));
        graph->work->capture([&] { graph->loss = step(); });
      }
      graph->work->replay();
      return graph->loss;
    };
  }
  return step;
}

// The backbone's features in evaluation mode; it gives their sum.
std::function<Tensor()> forward_step(densecl::ContrastiveModel& model, const Options& o) {
  const auto type = o.precision == "bf16" ? tensor::DType::bfloat16 : tensor::DType::float32;
  const auto net = std::make_shared<dcl::nn::FoldedResNet>(model.encoder_q().backbone(), type);
  return [net, pictures = random_pictures(o, 0).to(type)] {
    const Tensor features = net->forward(pictures).to(tensor::DType::float32);
    return Tensor::scalar(
        std::accumulate(features.data<float>(), features.data<float>() + features.numel(), 0.0));
  };
}

struct Steps {
  std::vector<double> seconds;  // of each timed one
  std::vector<double> losses;   // of all
  std::optional<densecl::report::DenseHalf> dense_half;
};

Steps time_steps(const std::function<Tensor()>& step, const Options& o) {
  const tensor::Device device = tensor::device_named(o.device);
  std::optional<tensor::ProfileRecording> recording;
  if (o.profile || o.dense_half) recording.emplace();
  Steps steps;
  for (int i = 0; i < o.warmup + o.steps; ++i) {
    if (i == o.warmup && recording) recording->restart();
    tensor::synchronize(device);
    const auto start = std::chrono::steady_clock::now();
    const Tensor loss = step();
    tensor::synchronize(device);
    if (i >= o.warmup)
      steps.seconds.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    steps.losses.push_back(loss.item());
  }
  if (o.profile) std::cout << densecl::report::profile_table(*recording, recording->now(), o.steps) << "\n\n";
  if (o.dense_half) {
    steps.dense_half = densecl::report::dense_half(*recording, o.steps);
    std::cout << steps.dense_half->str() << "\n\n";
  }
  return steps;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void run(const Options& o) {
  tensor::cpu::set_num_threads(o.threads);
  densecl::ContrastiveModel model(
      {.method = o.method == "densecl" ? densecl::Method::densecl : densecl::Method::mocov2,
       .arch = o.arch,
       .queue = o.queue,
       .options = {tensor::DType::float32, tensor::device_named(o.device)},
       .bfloat16 = o.precision == "bf16"});
  model.initialise(0);
  dcl::optim::Sgd sgd(model.parameters(), {.momentum = 0.9, .weight_decay = 1e-4});
  auto step = o.method == "forward" ? forward_step(model, o) : training_step(model, sgd, o);
  const bool told_apart = o.profile || o.dense_half;  // op by op
  if (o.device == "cuda" && o.cuda_graph != "off" && !told_apart) step = as_graph(std::move(step));
  const std::int64_t start = resident_mib();
  if (!o.start.empty()) write_start(model, o);
  const Steps steps = time_steps(step, o);
  nlohmann::ordered_json line{{"arch", o.arch},
                              {"size", o.size},
                              {"batch", o.batch},
                              {"queue", o.queue},
                              {"method", o.method},
                              {"precision", o.precision},
                              {"device", o.device},
                              {"threads", o.threads},
                              {"pairs_per_s", static_cast<double>(o.batch) / median(steps.seconds)},
                              {"peak_MiB", peak_mib()},
                              {"start_MiB", start}};
  if (o.device == "cuda")
    line["device_peak_MiB"] = tensor::allocator(tensor::device_named(o.device)).stats().peak >> 20;
  if (o.method != "forward") line["expected_MiB"] = std::lround(expected_mib(model, o));
  if (!o.start.empty()) line["losses"] = steps.losses;
  if (steps.dense_half)
    line["dense_half"] = {{"GFLOP", steps.dense_half->dense.flop * 1e-9},
                          {"ms", steps.dense_half->dense.seconds * 1e3},
                          {"conv1x1_GFLOP_per_s", steps.dense_half->conv1x1.rate() * 1e-9},
                          {"ratio", steps.dense_half->ratio()}};
  std::cout << line.dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line("bench_step", "Times a DenseCL or MoCo-v2 training step.");
  Options options;
  add_flags(line, options);
  return line.run(
      argc, argv,
      [&] {
        run(options);
        return 0;
      },
      dcl::apps::kUsedWrongly);
}
