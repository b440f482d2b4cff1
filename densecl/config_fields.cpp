#include "densecl/config_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "data/blur.h"
#include "tensor/check.h"

namespace dcl::densecl {

namespace {

using C = TrainConfig;

constexpr double kLimit = 1 << 30;  // of counts: far above any use, far below overflow

constexpr Range from(double low, double high = kLimit) { return {low, high}; }

constexpr std::string_view kData = "Data and output";
constexpr std::string_view kModel = "Method and model";
constexpr std::string_view kTraining = "Training";
constexpr std::string_view kRunning = "Running";

const std::array kFields = {
    ConfigField{"data", "", kData, "pictures: a folder, a list, COCO, VOC, LMDB, tar archives", &C::data,
                Role::place},
    ConfigField{"data-format", "", kData, "auto, folder, list, coco, voc, imagenet, lmdb or tar",
                &C::data_format, Role::place},
    ConfigField{"split", "", kData,
                "part of a COCO or VOC set, such as train2017 [COCO: train2017; VOC: all]", &C::split,
                Role::place},
    ConfigField{"data-root", "", kData, "folder that the paths of a list are below [the list's own]",
                &C::data_root, Role::place},
    ConfigField{"output-dir", "", kData, "output folder [work_dirs/METHOD_ARCH_SEED]", &C::output_dir,
                Role::place},
    ConfigField{"resume", "", kData,
                "go on from a checkpoint, or 'auto': from the newest of the output folder", &C::resume,
                Role::place},
    ConfigField{"overwrite", "", kData, "use an output folder that holds checkpoints; they are removed",
                &C::overwrite, Role::place},
    ConfigField{"on-bad-image", "", kData,
                "replace: unreadable pictures by the next readable; stop: end the run", &C::on_bad_image,
                Role::recipe},
    ConfigField{"save-freq", "", kData, "epochs between checkpoints", &C::save_freq, Role::running, from(1)},
    ConfigField{"keep", "", kData, "checkpoints to keep", &C::keep, Role::running, from(1)},
    ConfigField{"print-freq", "p", kData, "iterations between log lines", &C::print_freq, Role::running,
                from(1)},

    ConfigField{"method", "", kModel, "densecl or mocov2", &C::method, Role::identity},
    ConfigField{"arch", "a", kModel, "resnet18, 34, 50, 101 or 152", &C::arch, Role::identity},
    ConfigField{"image-size", "", kModel, "side of a view in pixels", &C::image_size, Role::identity,
                from(32, 8192)},
    ConfigField{"moco-dim", "", kModel, "length of a projected vector", &C::moco_dim, Role::identity,
                from(1, 1 << 16)},
    ConfigField{"moco-k", "", kModel, "keys in a queue", &C::moco_k, Role::identity, from(1)},
    ConfigField{"moco-m", "", kModel, "momentum of the key encoder", &C::moco_m, Role::recipe, from(0, 1)},
    ConfigField{"moco-t", "", kModel, "softmax temperature", &C::moco_t, Role::recipe, {0, kLimit, true}},
    ConfigField{"neck-hidden", "", kModel, "hidden width of the projection heads", &C::neck_hidden,
                Role::identity, from(1, 1 << 20)},
    ConfigField{"loss-lambda", "", kModel, "weight of the dense loss (densecl)", &C::loss_lambda,
                Role::recipe, from(0, 1)},
    ConfigField{"lambda-warmup", "", kModel, "iterations with lambda 0 (densecl)", &C::lambda_warmup,
                Role::recipe, from(0)},
    ConfigField{"num-grid", "", kModel, "pool the dense half to N x N cells (densecl) [the map's own]",
                &C::num_grid, Role::identity, from(1, 256)},
    ConfigField{"bn-groups", "", kModel,
                "parts of the batch that batch norm sees one at a time; 1: no shuffling", &C::bn_groups,
                Role::identity, from(1)},

    ConfigField{"aug", "", kAugmentation,
                "recipe that the flags below change: mocov2 (also DenseCL's); byol (the views differ; "
                "solarization); none (both views are the largest square in the middle of the picture, "
                "nothing is random)",
                &C::aug, Role::recipe},
    ConfigField{"crop-scale", "", kAugmentation, "area of a crop as a share of the picture's", &C::crop_scale,
                Role::recipe, from(1e-6, 1)},
    ConfigField{"crop-ratio", "", kAugmentation, "width over height of a crop", &C::crop_ratio, Role::recipe,
                from(1e-3, 1e3)},
    ConfigField{"jitter-prob", "", kAugmentation,
                "probability of colour jitter; like every P, one number for both views or two: the query's, "
                "the key's",
                &C::jitter_prob, Role::recipe, from(0, 1)},
    ConfigField{"brightness", "", kAugmentation, "jitter by a factor of 1 - P to 1 + P", &C::brightness,
                Role::recipe, from(0, 1e3)},
    ConfigField{"contrast", "", kAugmentation, "likewise", &C::contrast, Role::recipe, from(0, 1e3)},
    ConfigField{"saturation", "", kAugmentation, "likewise", &C::saturation, Role::recipe, from(0, 1e3)},
    ConfigField{"hue", "", kAugmentation, "jitter by -P to P of the colour circle", &C::hue, Role::recipe,
                from(0, 0.5)},
    ConfigField{"grayscale-prob", "", kAugmentation, "probability of grayscale", &C::grayscale_prob,
                Role::recipe, from(0, 1)},
    ConfigField{"blur-prob", "", kAugmentation, "probability of Gaussian blur", &C::blur_prob, Role::recipe,
                from(0, 1)},
    ConfigField{"blur-sigma", "", kAugmentation, "its standard deviation in pixels of the view",
                &C::blur_sigma, Role::recipe, from(0, data::kMostSigma)},
    ConfigField{"flip-prob", "", kAugmentation, "probability of a horizontal flip", &C::flip_prob,
                Role::recipe, from(0, 1)},
    ConfigField{"solarize-prob", "", kAugmentation, "probability of solarization, after the blur",
                &C::solarize_prob, Role::recipe, from(0, 1)},
    ConfigField{"solarize-threshold", "", kAugmentation, "level from which it inverts",
                &C::solarize_threshold, Role::recipe, from(0, 256)},

    ConfigField{"epochs", "", kTraining, "epochs of the whole run", &C::epochs, Role::recipe, from(1)},
    ConfigField{"max-iters", "", kTraining, "stop after this many iterations of the whole run [all epochs]",
                &C::max_iters, Role::running, from(1)},
    ConfigField{"batch-size", "b", kTraining, "pictures of one update", &C::batch_size, Role::identity,
                from(1)},
    ConfigField{"accumulate", "", kTraining, "work the batch off in N parts (less memory)", &C::accumulate,
                Role::identity, from(1)},
    ConfigField{"lr", "", kTraining, "learning rate", &C::lr, Role::recipe, {0}},
    ConfigField{
        "momentum", "", kTraining, "momentum of SGD", &C::momentum, Role::recipe, {0, 1, false, true}},
    ConfigField{"wd", "", kTraining, "weight decay", &C::wd, Role::recipe, {0}},
    ConfigField{"schedule", "", kTraining,
                "epochs at which lr falls to a tenth, as one value: 120,160; 'none': constant", &C::schedule,
                Role::recipe, from(0)},
    ConfigField{"cos", "", kTraining, "cosine schedule, once an epoch, instead of --schedule", &C::cos,
                Role::recipe},
    ConfigField{"warmup-epochs", "", kTraining, "epochs of linear warm-up of lr", &C::warmup_epochs,
                Role::recipe, from(0)},
    ConfigField{"skip-nonfinite", "", kTraining,
                "skip up to N updates in a row whose loss or gradients are not finite", &C::skip_nonfinite,
                Role::recipe, from(0)},

    ConfigField{"seed", "", kRunning, "of all random numbers", &C::seed, Role::identity, from(0, 1e15)},
    ConfigField{"workers", "j", kRunning, "threads that load pictures; the batches do not depend on them",
                &C::workers, Role::running, from(0, 1024)},
    ConfigField{"threads", "", kRunning, "threads that compute; 0: all processors", &C::threads,
                Role::running, from(0, 1024)},
    ConfigField{"device", "", kRunning, "auto, cpu or cuda", &C::device, Role::running},
    ConfigField{"aug-device", "", kRunning,
                "cpu, or cuda: decode, crop and resize by the loading threads, the rest on the GPU",
                &C::aug_device, Role::running},
    ConfigField{"precision", "", kRunning, "fp32 or bf16", &C::precision, Role::identity},
    ConfigField{
        "cuda-graph", "", kRunning,
        "auto, on or off: the step as one CUDA graph; auto: on a GPU, without --skip-nonfinite and --profile",
        &C::cuda_graph, Role::running},
    ConfigField{"deterministic", "", kRunning,
                "insist on equal bits in equal runs: it is always so, on either device", &C::deterministic,
                Role::running},
    ConfigField{"profile", "", kRunning,
                "after a dozen steps print where their time goes, op by op; trace.json for chrome://tracing",
                &C::profile, Role::running},
};

std::int64_t parse_integer(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error != std::errc::result_out_of_range, "{} is out of range", text);
  check(error == std::errc() && end == text.data() + text.size(), "'{}' is not a whole number", text);
  return value;
}

double parse_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error != std::errc::result_out_of_range, "{} is out of range", text);
  check(error == std::errc() && end == text.data() + text.size(), "'{}' is not a number", text);
  return value;
}

bool parse_bool(const std::string& text) {
  check(text == "true" || text == "false", "'{}' is not true or false", text);
  return text == "true";
}

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<std::int64_t> parse_list(const std::string& text) {
  std::vector<std::int64_t> values;
  if (text.empty() || text == "none") return values;
  for (const auto& part : parts_of(text)) values.push_back(parse_integer(part));
  return values;
}

PerView parse_per_view(const std::string& text) {
  const auto parts = parts_of(text);
  check(parts.size() <= 2, "'{}' is more than two numbers, expected one for both views or two", text);
  return {parse_number(parts.front()), parse_number(parts.back())};
}

data::Range parse_range(const std::string& text) {
  const auto parts = parts_of(text);
  check(parts.size() == 2, "'{}' is not two numbers LOW,HIGH", text);
  return {parse_number(parts[0]), parse_number(parts[1])};
}

// "f32" is "fp32", "moco_v2" is "mocov2".
std::string canonical(const ConfigField& field, const std::string& text) {
  if (field.name == "method" && text == "moco_v2") return "mocov2";
  if (field.name == "precision" && (text == "f32" || text == "f64")) return "fp" + text.substr(1);
  return text;
}

template <class... Parsers>
struct Overloaded : Parsers... {
  using Parsers::operator()...;
};
template <class... Parsers>
Overloaded(Parsers...) -> Overloaded<Parsers...>;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

bool Range::contains(double value) const {
  return (above_low ? value > low : value >= low) && (below_high ? value < high : value <= high);
}

std::string Range::str() const {
  std::string least = above_low ? fmt::format("more than {}", low) : fmt::format("{} or more", low);
  if (high >= kLimit) return least;
  if (above_low || below_high)
    return fmt::format("{}{} and {}{}", above_low ? "more than " : "at least ", low,
                       below_high ? "less than " : "at most ", high);
  return fmt::format("{} to {}", low, high);
}

std::span<const ConfigField> config_fields() { return kFields; }

const ConfigField* find_field(std::string_view name) {
  std::string dashed(name);
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  const auto found = std::find_if(kFields.begin(), kFields.end(),
                                  [&](const ConfigField& field) { return field.name == dashed; });
  return found == kFields.end() ? nullptr : &*found;
}

void set_field(TrainConfig& config, const ConfigField& field, const std::string& text) {
  std::visit(Overloaded{[&](std::int64_t C::* m) { config.*m = parse_integer(text); },
                        [&](std::optional<std::int64_t> C::* m) { config.*m = parse_integer(text); },
                        [&](double C::* m) { config.*m = parse_number(text); },
                        [&](bool C::* m) { config.*m = parse_bool(text); },
                        [&](std::string C::* m) { config.*m = canonical(field, text); },
                        [&](std::vector<std::int64_t> C::* m) { config.*m = parse_list(text); },
                        [&](std::optional<PerView> C::* m) { config.*m = parse_per_view(text); },
                        [&](std::optional<data::Range> C::* m) { config.*m = parse_range(text); }},
             field.member);
}

std::vector<double> field_values(const TrainConfig& config, const ConfigField& field) {
  using Values = std::vector<double>;
  return std::visit(
      Overloaded{
          [&](std::int64_t C::* m) { return Values{static_cast<double>(config.*m)}; },
          [&](std::optional<std::int64_t> C::* m) {
            return config.*m ? Values{static_cast<double>(*(config.*m))} : Values{};
          },
          [&](double C::* m) { return Values{config.*m}; }, [&](bool C::*) { return Values{}; },
          [&](std::string C::*) { return Values{}; },
          [&](std::vector<std::int64_t> C::* m) { return Values((config.*m).begin(), (config.*m).end()); },
          [&](std::optional<PerView> C::* m) {
            return config.*m ? Values{(config.*m)->query, (config.*m)->key} : Values{};
          },
          [&](std::optional<data::Range> C::* m) {
            return config.*m ? Values{(config.*m)->low, (config.*m)->high} : Values{};
          }},
      field.member);
}

std::string field_text(const TrainConfig& config, const ConfigField& field) {
  return std::visit(
      Overloaded{[&](std::int64_t C::* m) { return fmt::format("{}", config.*m); },
                 [&](std::optional<std::int64_t> C::* m) {
                   return (config.*m).has_value() ? fmt::format("{}", *(config.*m)) : std::string();
                 },
                 [&](double C::* m) { return fmt::format("{}", config.*m); },  // the shortest that reads back
                 [&](bool C::* m) { return std::string(config.*m ? "true" : "false"); },
                 [&](std::string C::* m) { return config.*m; },
                 [&](std::vector<std::int64_t> C::* m) {
                   std::string text;
                   for (const auto value : config.*m)
                     text += fmt::format("{}{}", text.empty() ? "" : ",", value);
                   return text.empty() ? std::string("none") : text;
                 },
                 [&](std::optional<PerView> C::* m) {
                   if (!(config.*m)) return std::string();
                   const auto [query, key] = *(config.*m);
                   return query == key ? fmt::format("{}", query) : fmt::format("{},{}", query, key);
                 },
                 [&](std::optional<data::Range> C::* m) {
                   return config.*m ? fmt::format("{},{}", (config.*m)->low, (config.*m)->high)
                                    : std::string();
                 }},
      field.member);
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  const std::string* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    // The beginning of a name is as near as one wrong letter.
    const bool begins = name.size() > 3 && candidate.starts_with(name);
    const std::size_t distance = begins ? 1 : edit_distance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = &candidate;
  }
  return nearest == nullptr ? "" : fmt::format(", did you mean {}?", *nearest);
}

}  // namespace dcl::densecl
