// The settings: their table, the layers, what is refused, the authors' presets.
#include "densecl/config.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "densecl/augment_config.h"
#include "densecl/config_fields.h"
#include "densecl/presets.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace {

using dcl::densecl::SettingLayer;
using dcl::densecl::TrainConfig;

TrainConfig runnable() {
  TrainConfig config;
  config.data = "photos";
  return config;
}

template <class Change>
std::string refusal(Change change) {
  TrainConfig config = runnable();
  change(config);
  try {
    check_config(config);
  } catch (const dcl::Error& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal_of(const SettingLayer& layer) {
  TrainConfig config = runnable();
  try {
    apply(config, layer);
    check_config(config);
  } catch (const dcl::Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "accepted";
}

TEST(Config, DefaultsAreMoCosAndRun) {
  const TrainConfig c;
  EXPECT_EQ(c.lr, 0.03);
  EXPECT_EQ(c.schedule, (std::vector<std::int64_t>{120, 160}));
  EXPECT_EQ(c.moco_k, 65536);
  EXPECT_EQ(c.print_freq, 50);
  EXPECT_EQ(refusal([](TrainConfig&) {}), "accepted");
}

TEST(Config, EveryFieldReadsBackWhatItShows) {
  TrainConfig config = runnable();
  config.lr = 0.1 + 0.2;  // needs 17 digits
  config.num_grid = 7;
  config.max_iters = 12;
  fill_augmentation(config);
  config.blur_prob = {0.1 + 0.2, 1e-9};
  TrainConfig again;
  for (const auto& field : dcl::densecl::config_fields()) set_field(again, field, field_text(config, field));
  EXPECT_EQ(again, config);
}

TEST(Config, LaterLayersWinAndTheScheduleReplacesACosine) {
  TrainConfig config;
  apply(config, {"low", {{"cos", "true"}, {"lr", "0.3"}, {"seed", "4"}}});
  EXPECT_TRUE(config.cos);
  EXPECT_TRUE(config.schedule.empty());
  apply(config, {"", {{"schedule", "10,20"}, {"lr", "0.5"}}});
  EXPECT_FALSE(config.cos);
  EXPECT_EQ(config.schedule, (std::vector<std::int64_t>{10, 20}));
  EXPECT_EQ(config.lr, 0.5);
  EXPECT_EQ(config.seed, 4);
  apply(config, {"", {{"schedule", "none"}}});
  EXPECT_EQ(lr_schedule(config).kind, dcl::optim::Schedule::Kind::constant);
}

TEST(Config, AliasesMeanTheSame) {
  TrainConfig config;
  apply(config, {"", {{"method", "moco_v2"}, {"precision", "f32"}, {"moco_k", "128"}}});
  EXPECT_EQ(config.method, "mocov2");
  EXPECT_EQ(config.precision, "fp32");
  EXPECT_EQ(config.moco_k, 128);
  EXPECT_EQ(model_options(config).method, dcl::densecl::Method::mocov2);
}

TEST(Config, ALayerThatFailsChangesNothing) {
  TrainConfig config;
  EXPECT_THROW(apply(config, {"", {{"lr", "9"}, {"batch-size", "x"}}}), dcl::Error);
  EXPECT_EQ(config, TrainConfig{});
}

TEST(Config, UnreadableSettingsAreNamed) {
  const std::vector<std::pair<dcl::densecl::Setting, std::string>> table = {
      {{"lr", "abc"}, "--lr: 'abc' is not a number"},
      {{"lr", "1x"}, "--lr: '1x' is not a number"},
      {{"lr", "1e999"}, "--lr: 1e999 is out of range"},
      {{"epochs", "1.5"}, "--epochs: '1.5' is not a whole number"},
      {{"epochs", "99999999999999999999"}, "--epochs: 99999999999999999999 is out of range"},
      {{"schedule", "1,,2"}, "--schedule: '' is not a whole number"},
      {{"cos", "yes"}, "--cos: 'yes' is not true or false"},
      {{"batchsize", "3"}, "--batchsize is unknown, did you mean batch_size?"},
      {{"zzzzzzzz", "3"}, "--zzzzzzzz is unknown"}};
  for (const auto& [setting, message] : table) EXPECT_EQ(refusal_of({"", {setting}}), message);
  EXPECT_EQ(refusal_of({"run.toml", {{"lrr", "3"}}}), "run.toml: lrr is unknown, did you mean lr?");
  EXPECT_EQ(refusal_of({"", {{"cos", "true"}, {"schedule", "3"}}}), "cos and schedule exclude each other");
}

TEST(Config, OutOfRangeIsRefusedWithWhatWasExpected) {
  const std::vector<std::pair<dcl::densecl::Setting, std::string>> table = {
      {{"lr", "-1"}, "--lr: -1 is out of range, expected 0 or more"},
      {{"lr", "nan"}, "--lr: nan is not a finite number"},
      {{"wd", "inf"}, "--wd: inf is not a finite number"},
      {{"wd", "-1e-4"}, "--wd: -0.0001 is out of range, expected 0 or more"},
      {{"momentum", "1"}, "--momentum: 1 is out of range, expected at least 0 and less than 1"},
      {{"moco-m", "1.1"}, "--moco-m: 1.1 is out of range, expected 0 to 1"},
      {{"moco-t", "0"}, "--moco-t: 0 is out of range, expected more than 0"},
      {{"loss-lambda", "-0.1"}, "--loss-lambda: -0.1 is out of range, expected 0 to 1"},
      {{"image-size", "31"}, "--image-size: 31 is out of range, expected 32 to 8192"},
      {{"epochs", "0"}, "--epochs: 0 is out of range, expected 1 or more"},
      {{"max-iters", "0"}, "--max-iters: 0 is out of range, expected 1 or more"},
      {{"batch-size", "0"}, "--batch-size: 0 is out of range, expected 1 or more"},
      {{"batch-size", "-8"}, "--batch-size: -8 is out of range, expected 1 or more"},
      {{"accumulate", "0"}, "--accumulate: 0 is out of range, expected 1 or more"},
      {{"bn-groups", "0"}, "--bn-groups: 0 is out of range, expected 1 or more"},
      {{"num-grid", "0"}, "--num-grid: 0 is out of range, expected 1 to 256"},
      {{"workers", "-1"}, "--workers: -1 is out of range, expected 0 to 1024"},
      {{"seed", "-1"}, "--seed: -1 is out of range, expected 0 or more"},
      {{"keep", "0"}, "--keep: 0 is out of range, expected 1 or more"},
      {{"schedule", "-3"}, "--schedule: -3 is out of range, expected 0 or more"}};
  for (const auto& [setting, message] : table) EXPECT_EQ(refusal_of({"", {setting}}), message);
}

TEST(Config, NoNumberIsLeftWithoutARange) {
  for (const auto& field : dcl::densecl::config_fields()) {
    if (field.holds<std::string>() || field.holds<bool>()) continue;
    EXPECT_FALSE(field.range.contains(-1)) << field.name;
  }
}

TEST(Config, WhatThisBuildLacksIsNamed) {
  const std::string why = dcl::tensor::why_unusable({dcl::tensor::DeviceType::cuda});
  const std::string refused =
      "--device cuda: " + why + (dcl::tensor::has_cuda ? "" : ", expected auto or cpu");
  EXPECT_EQ(refusal_of({"", {{"device", "cuda"}}}), why.empty() ? "accepted" : refused);
  EXPECT_EQ(
      refusal_of({"", {{"aug-device", "cuda"}}}),
      dcl::tensor::has_cuda ? "accepted" : "--aug-device cuda: this build has no CUDA backend, expected cpu");
  EXPECT_EQ(refusal_of({"", {{"aug-device", "cuda"}, {"device", "cpu"}}}),
            "--aug-device cuda: training is on the CPU (--device cpu), expected cpu");
  EXPECT_EQ(refusal_of({"", {{"aug-device", "cud"}}}),
            "--aug-device: unknown aug-device 'cud', did you mean cuda?");
  EXPECT_EQ(refusal_of({"", {{"precision", "fp64"}}}), "--precision fp64: training is in fp32 or bf16");
  EXPECT_EQ(refusal_of({"", {{"arch", "resnet5"}}}),
            "--arch: unknown arch 'resnet5', did you mean resnet50?");
  EXPECT_EQ(refusal_of({"", {{"method", "byol"}}}),
            "--method: unknown method 'byol', expected one of densecl, mocov2");
  EXPECT_EQ(refusal_of({"", {{"data-format", "lmbd"}}}),
            "--data-format: unknown data-format 'lmbd', did you mean lmdb?");
}

TEST(Config, SizesHaveToFitOneAnother) {
  EXPECT_EQ(refusal([](TrainConfig& c) { c.moco_k = 255; }),
            "--batch-size 256 is larger than the queue (--moco-k 255)");
  EXPECT_EQ(refusal([](TrainConfig& c) { c.bn_groups = 3; }),
            "--bn-groups 3 does not divide --batch-size 256");
  EXPECT_EQ(refusal([](TrainConfig& c) { c.accumulate = 3; }),
            "--accumulate 3 does not divide --batch-size 256");
  // Batch norm sees the part: 256 / 64 = 4 pictures.
  EXPECT_EQ(refusal([](TrainConfig& c) { c.accumulate = 64, c.bn_groups = 8; }),
            "--bn-groups 8 does not divide a part of 4 pictures (--batch-size 256 / --accumulate 64)");
  EXPECT_EQ(refusal([](TrainConfig& c) { c.warmup_epochs = 201; }),
            "--warmup-epochs 201 is more than --epochs 200");
  EXPECT_EQ(refusal([](TrainConfig& c) { c.resume = "auto", c.overwrite = true; }),
            "--resume and --overwrite exclude each other");
  EXPECT_EQ(refusal([](TrainConfig& c) { c.data.clear(); }),
            "the folder of pictures is missing: densecl_train FOLDER");
  EXPECT_THROW(check_against_set(runnable(), 255), dcl::Error);
  EXPECT_NO_THROW(check_against_set(runnable(), 256));
}

TEST(Config, BatchNormNeedsTwoValuesAChannelInTheLastStage) {
  const auto one_value = [](std::int64_t side, std::int64_t batch, std::int64_t groups, std::int64_t parts) {
    return refusal([&](TrainConfig& c) {
             c.image_size = side;
             c.batch_size = batch;
             c.bn_groups = groups;
             c.accumulate = parts;
           }).find("one value a channel") != std::string::npos;
  };
  EXPECT_TRUE(one_value(32, 1, 1, 1));
  EXPECT_TRUE(one_value(32, 8, 8, 1));
  EXPECT_TRUE(one_value(32, 8, 1, 8));
  EXPECT_TRUE(one_value(32, 8, 4, 2));
  EXPECT_FALSE(one_value(32, 8, 4, 1));  // two pictures of one cell
  EXPECT_FALSE(one_value(33, 1, 1, 1));  // one picture of four cells
}

TEST(Config, ResolvedDecidesWhatWasOpen) {
  TrainConfig config = runnable();
  config.seed = 7;
  config.cos = true;
  const TrainConfig r = resolved(config);
  EXPECT_EQ(r.output_dir, "work_dirs/densecl_resnet50_7");
  EXPECT_EQ(r.device, "cpu");
  EXPECT_GE(r.threads, 1);
  EXPECT_TRUE(r.schedule.empty());
  EXPECT_EQ(resolved(r), r);
}

TEST(Presets, CarryTheAuthorsValues) {
  for (const auto& preset : dcl::densecl::presets()) {
    TrainConfig c = runnable();
    apply(c, dcl::densecl::preset_layer(preset.name));
    EXPECT_NO_THROW(check_config(c)) << preset.name;
    const bool coco = preset.name.find("coco") != std::string::npos;
    EXPECT_EQ(c.lr, coco ? 0.3 : 0.03) << preset.name;
    EXPECT_EQ(c.epochs, coco ? 800 : 200) << preset.name;
    EXPECT_EQ(c.save_freq, coco ? 40 : 10) << preset.name;
    EXPECT_EQ(c.method, preset.name.starts_with("mocov2") ? "mocov2" : "densecl");
    EXPECT_EQ(std::tuple(c.batch_size, c.bn_groups, c.moco_k, c.moco_dim, c.neck_hidden, c.image_size),
              std::tuple(256, 8, 65536, 128, 2048, 224));
    EXPECT_EQ(std::tuple(c.moco_m, c.moco_t, c.loss_lambda, c.momentum, c.wd),
              std::tuple(0.999, 0.2, 0.5, 0.9, 1e-4));
    EXPECT_EQ(std::tuple(c.cos, c.warmup_epochs, c.lambda_warmup), std::tuple(true, 0, 0));
    EXPECT_EQ(c.arch, "resnet50");
  }
}

TEST(Presets, AllSixAreThereAndOthersAreRefused) {
  for (const char* name : {"densecl_coco_800ep", "densecl_coco_lmdb_800ep", "densecl_imagenet_200ep",
                           "densecl_imagenet_lmdb_200ep", "mocov2_coco_800ep", "mocov2_imagenet_200ep"})
    EXPECT_NO_THROW(dcl::densecl::preset_layer(name)) << name;
  try {
    dcl::densecl::preset_layer("densecl_coco_80ep");
    FAIL();
  } catch (const dcl::Error& error) {
    EXPECT_STREQ(error.what(),
                 "--preset: unknown preset 'densecl_coco_80ep', did you mean densecl_coco_800ep?");
  }
}

}  // namespace
