// Everything a training run is told, with the names and meanings of the MoCo and OpenSelfSup scripts.
// `TrainConfig{}` holds the defaults; presets (densecl/presets.h), a TOML file and flags are laid over them
// as layers of settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/augment.h"
#include "densecl/model.h"
#include "optim/schedule.h"
#include "tensor/device.h"
#include "tensor/ops/sgd_update.h"

namespace dcl::densecl {

/// A value for each of a pair's views.
struct PerView {
  double query = 0;
  double key = 0;
  bool operator==(const PerView&) const = default;
};

struct TrainConfig {
  std::string data;                      // the set of pictures: a folder, a list, an archive
  std::string data_format = "auto";      // data::kSourceFormats
  std::string split;                     // of COCO's and VOC's layouts
  std::string data_root;                 // what a list's paths are below; empty: its own folder
  std::string output_dir;                // empty: work_dirs/METHOD_ARCH_SEED
  std::string resume;                    // empty, "auto" (the newest of output_dir, if any) or a checkpoint
  bool overwrite = false;                // use an output folder that holds checkpoints
  std::string on_bad_image = "replace";  // or "stop"

  std::string method = "densecl";
  std::string arch = "resnet50";
  std::int64_t image_size = 224;  // side of a view
  std::int64_t moco_dim = 128;
  std::int64_t moco_k = 65536;
  double moco_m = 0.999;
  double moco_t = 0.2;
  std::int64_t neck_hidden = 2048;
  double loss_lambda = 0.5;
  std::int64_t lambda_warmup = 0;  // iterations with lambda = 0
  std::optional<std::int64_t> num_grid;
  std::int64_t bn_groups = 1;

  std::string aug;  // recipe of the views (densecl/augment_config.h); empty: mocov2
  // What is left open below is the recipe's.
  std::optional<data::Range> crop_scale;  // share of the picture's area
  std::optional<data::Range> crop_ratio;  // width over height
  std::optional<PerView> jitter_prob;
  std::optional<PerView> brightness;
  std::optional<PerView> contrast;
  std::optional<PerView> saturation;
  std::optional<PerView> hue;
  std::optional<PerView> grayscale_prob;
  std::optional<PerView> blur_prob;
  std::optional<data::Range> blur_sigma;  // pixels
  std::optional<PerView> flip_prob;
  std::optional<PerView> solarize_prob;
  std::optional<std::int64_t> solarize_threshold;

  std::int64_t epochs = 200;
  std::optional<std::int64_t> max_iters;
  std::int64_t batch_size = 256;  // of one update
  std::int64_t accumulate = 1;    // parts the batch is worked off in
  double lr = 0.03;
  double momentum = 0.9;
  double wd = 1e-4;
  std::vector<std::int64_t> schedule = {120, 160};  // epochs at which lr falls to a tenth
  bool cos = false;
  std::int64_t warmup_epochs = 0;

  std::int64_t seed = 0;
  std::int64_t workers = 4;
  std::int64_t threads = 0;  // 0: all processors of this process
  std::string device = "auto";
  std::string aug_device = "cpu";  // "cuda": views are finished there after crop and resize
  std::string precision = "fp32";
  std::string cuda_graph = "auto";
  bool deterministic = false;
  std::int64_t print_freq = 50;
  std::int64_t save_freq = 1;  // epochs
  std::int64_t keep = 3;
  std::int64_t skip_nonfinite = 0;
  bool profile = false;  // show where the time of a few steps goes

  bool operator==(const TrainConfig&) const = default;
};

/// One value under its flag's name without dashes in front ("batch-size"), as it would stand on a command
/// line.
using Setting = std::pair<std::string, std::string>;
/// Where settings come from, for messages: "--preset x" or a file's name; empty for flags.
struct SettingLayer {
  std::string source;
  std::vector<Setting> settings;
};

/// Lays one layer over `config`. A schedule takes the place of a cosine from a lower layer, and the other way
/// round; a recipe of augmentation that of a lower layer's, with all the values laid over that. Throws,
/// naming the source and the setting, for an unknown name (suggesting the nearest), a value that cannot be
/// read, or both schedules in one layer.
void apply(TrainConfig& config, const SettingLayer& layer);

/// Throws for values that are out of range, not finite, at odds with one another, or that this build cannot
/// do; the line names the flag.
void check_config(const TrainConfig& config);
/// Throws where the set of pictures is too small for the batch.
void check_against_set(const TrainConfig& config, std::int64_t pictures);

/// What stays open in `config` decided: output folder, device, threads, augmentation; a cosine has no
/// milestones.
TrainConfig resolved(TrainConfig config);

/// TOML that runs the same thing again. `resume`, `overwrite` and `profile` are acts, not part of the run,
/// and left out.
std::string to_toml(const TrainConfig& config);

tensor::Device training_device(const TrainConfig& config);  // of a resolved one
ModelOptions model_options(const TrainConfig& config);
optim::Schedule lr_schedule(const TrainConfig& config);
tensor::SgdParams sgd_params(const TrainConfig& config);

}  // namespace dcl::densecl
