// libtorch_step: the step that bench_step times, on LibTorch's C++ API. The same flags, the same line of
// JSON; with
// --start the same weights and pictures, so that the losses have to be the same too.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>

#include <ATen/autocast_mode.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/libtorch/model.h"
#include "bench/libtorch/start_file.h"

namespace {

using dcl::bench::Encoder;
using dcl::bench::EncoderOutput;
using torch::Tensor;

constexpr double kTemperature = 0.2;
constexpr double kKeyMomentum = 0.999;
constexpr double kLambda = 0.5;

struct Options {
  std::string arch = "resnet50";
  std::int64_t size = 224, batch = 16, queue = 65536;
  std::string method = "densecl", precision = "fp32", start;
  int threads = 2, steps = 6, warmup = 2;
  bool nchw = false;

  bool dense() const { return method == "densecl"; }
  torch::MemoryFormat format() const {
    return nchw ? torch::MemoryFormat::Contiguous : torch::MemoryFormat::ChannelsLast;
  }
};

Tensor normalised(const Tensor& x) {
  return torch::nn::functional::normalize(x.to(torch::kFloat),
                                          torch::nn::functional::NormalizeFuncOptions().dim(1));
}

// bfloat16 where PyTorch's own list of operations says so.
class Autocast {
 public:
  explicit Autocast(bool enabled) : enabled_(enabled) {
    if (!enabled_) return;
    at::autocast::increment_nesting();
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
  }
  ~Autocast() {
    if (!enabled_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool enabled_;
};

class Step {
 public:
  explicit Step(const Options& o) : o_(o), query_(o.arch, o.dense()), key_(o.arch, o.dense()) {
    torch::manual_seed(0);
    const auto pictures = [&] { return torch::randn({o.batch, 3, o.size, o.size}); };
    std::map<std::string, Tensor> start;
    if (!o.start.empty()) start = dcl::bench::read_start_file(o.start);
    load(*query_, start, "encoder_q.");
    load(*key_, start, "encoder_k.");
    view_q_ = (start.contains("view_q") ? start.at("view_q") : pictures()).contiguous(o.format());
    view_k_ = (start.contains("view_k") ? start.at("view_k") : pictures()).contiguous(o.format());
    const auto queue = [&](const char* name) {
      return start.contains(name)
                 ? start.at(name)
                 : torch::nn::functional::normalize(torch::randn({128, o.queue}),
                                                    torch::nn::functional::NormalizeFuncOptions().dim(0));
    };
    queue_ = queue("queue");
    if (o.dense()) queue2_ = queue("queue2");
    for (auto& p : query_->parameters()) {
      weights_q_.push_back(p);
      momentum_.push_back(torch::zeros_like(p));
    }
    for (auto& p : key_->parameters()) {
      p.set_requires_grad(false);
      weights_k_.push_back(p);
    }
  }

  // One step of training; its loss.
  double train() {
    EncoderOutput q;
    {
      const Autocast cast(o_.precision == "bf16");
      q = query_->forward(view_q_);
    }
    EncoderOutput k;
    {
      const torch::NoGradGuard no_grad;
      at::_foreach_mul_(weights_k_, kKeyMomentum);
      at::_foreach_add_(weights_k_, weights_q_, 1 - kKeyMomentum);
      const Autocast cast(o_.precision == "bf16");
      k = key_->forward(view_k_);
    }
    Tensor keys, dense_keys, loss;
    {
      const Autocast cast(o_.precision == "bf16");
      loss = losses(q, k, keys, dense_keys);
    }
    loss.backward();
    update();
    const torch::NoGradGuard no_grad;
    enqueue(queue_, keys);
    if (o_.dense()) enqueue(queue2_, dense_keys);
    pointer_ = (pointer_ + o_.batch) % o_.queue;
    return loss.item<double>();
  }

  double forward() {
    const c10::InferenceMode inference;
    query_->eval();
    const Autocast cast(o_.precision == "bf16");
    return query_->features(view_q_).sum().item<double>();
  }

 private:
  void load(torch::nn::Module& module, const std::map<std::string, Tensor>& start,
            const std::string& prefix) const {
    const torch::NoGradGuard no_grad;
    const auto fill = [&](const std::string& name, Tensor& tensor) {
      if (!start.empty()) tensor.copy_(start.at(prefix + name));
      if (tensor.dim() == 4) tensor.set_data(tensor.contiguous(o_.format()));
    };
    for (auto& each : module.named_parameters()) fill(each.key(), each.value());
    for (auto& each : module.named_buffers()) fill(each.key(), each.value());
  }

  static Tensor contrast(const Tensor& positive, const Tensor& rows, const Tensor& queue) {
    const Tensor logits = torch::cat({positive.unsqueeze(1), torch::mm(rows, queue)}, 1) / kTemperature;
    return torch::nn::functional::cross_entropy(logits, torch::zeros({rows.size(0)}, torch::kLong));
  }

  Tensor losses(const EncoderOutput& q, const EncoderOutput& k, Tensor& keys, Tensor& dense_keys) const {
    const Tensor query = normalised(q.global);
    keys = normalised(k.global);
    Tensor global = contrast((query * keys).sum(1), query, queue_);
    if (!o_.dense()) return global;
    const Tensor dense = normalised(q.dense).flatten(2);  // [N,128,S]
    Tensor positive;
    {
      const torch::NoGradGuard no_grad;
      dense_keys = normalised(k.dense.to(torch::kFloat).mean({2, 3}));
      const Tensor similarity =
          torch::bmm(normalised(q.features).flatten(2).transpose(1, 2), normalised(k.features).flatten(2));
      positive = torch::gather(normalised(k.dense).flatten(2), 2,
                               similarity.argmax(2).unsqueeze(1).expand({-1, 128, -1}));
    }
    const Tensor rows = dense.permute({0, 2, 1}).reshape({-1, 128});
    return (1 - kLambda) * global +
           kLambda * contrast((dense * positive).sum(1).reshape({-1}), rows, queue2_);
  }

  void update() {
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> grads;
    for (auto& p : weights_q_) grads.push_back(p.grad());
    at::_fused_sgd_(weights_q_, grads, momentum_, 1e-4, 0.9, 0.03, 0, false, false, first_);
    first_ = false;
    for (auto& p : weights_q_) p.mutable_grad() = Tensor();
  }

  void enqueue(Tensor& queue, const Tensor& keys) const {
    for (std::int64_t i = 0; i < o_.batch; ++i) queue.select(1, (pointer_ + i) % o_.queue).copy_(keys[i]);
  }

  const Options& o_;
  Encoder query_, key_;
  Tensor view_q_, view_k_, queue_, queue2_;
  std::vector<Tensor> weights_q_, weights_k_, momentum_;
  std::int64_t pointer_ = 0;
  bool first_ = true;
};

std::int64_t resident_mib() {
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE) >> 20;
}

void run(const Options& o) {
  torch::set_num_threads(o.threads);
  Step step(o);
  const std::int64_t start = resident_mib();
  std::vector<double> times;
  std::vector<double> losses;
  for (int i = 0; i < o.warmup + o.steps; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    losses.push_back(o.method == "forward" ? step.forward() : step.train());
    if (i >= o.warmup)
      times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + o.steps / 2, times.end());
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  nlohmann::ordered_json line{
      {"torch", TORCH_VERSION},
      {"arch", o.arch},
      {"size", o.size},
      {"batch", o.batch},
      {"queue", o.queue},
      {"method", o.method},
      {"precision", o.precision},
      {"device", "cpu"},
      {"threads", o.threads},
      {"nchw", o.nchw},
      {"pairs_per_s", static_cast<double>(o.batch) / times[static_cast<std::size_t>(o.steps / 2)]},
      {"peak_MiB", usage.ru_maxrss >> 10},
      {"start_MiB", start}};
  if (!o.start.empty()) line["losses"] = losses;
  std::cout << line.dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times a DenseCL or MoCo-v2 training step in LibTorch.");
  Options o;
  app.add_option("--arch", o.arch);
  app.add_option("--size", o.size);
  app.add_option("--batch", o.batch);
  app.add_option("--queue", o.queue);
  app.add_option("--method", o.method)->check(CLI::IsMember({"densecl", "mocov2", "forward"}));
  app.add_option("--precision", o.precision)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps)->check(CLI::PositiveNumber);
  app.add_option("--warmup", o.warmup)->check(CLI::NonNegativeNumber);
  app.add_option("--start", o.start, "where bench_step --start has begun");
  app.add_flag("--nchw", o.nchw, "the other order of channels");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "libtorch_step: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
