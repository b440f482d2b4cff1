// The command line and TOML files of densecl_train.
#include "apps/support/flags.h"

#include <fstream>

#include <gtest/gtest.h>

#include "apps/support/config_file.h"
#include "densecl/augment_config.h"
#include "densecl/config_fields.h"
#include "tensor/check.h"
#include "tensor/device.h"
#include "tests/support/pictures.h"

namespace {

using dcl::densecl::TrainConfig;

std::optional<TrainConfig> parse(const std::vector<std::string>& arguments, std::string* answer = nullptr) {
  std::vector<const char*> argv = {"densecl_train"};
  for (const auto& each : arguments) argv.push_back(each.c_str());
  std::string text;
  auto config = dcl::apps::parse_train_flags(static_cast<int>(argv.size()), argv.data(), &text);
  if (answer != nullptr) *answer = text;
  return config;
}

std::string refusal(const std::vector<std::string>& arguments) {
  try {
    parse(arguments);
  } catch (const dcl::Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "accepted";
}

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) { folder_.write("run.toml", text); }
  std::string path() const { return (folder_.path() / "run.toml").string(); }

 private:
  dcl::test::TemporaryFolder folder_;
};

TEST(Flags, FollowTheMoCoScripts) {
  const auto c = parse({"photos", "-a", "resnet18", "-j", "2", "-b", "64", "-p", "10", "--schedule",
                        "120,160", "--moco-k=4096", "--lr", "0.1"});
  ASSERT_TRUE(c);
  EXPECT_EQ(std::tuple(c->data, c->arch, c->workers, c->batch_size, c->print_freq, c->moco_k, c->lr),
            std::tuple("photos", "resnet18", 2, 64, 10, 4096, 0.1));
  EXPECT_EQ(parse({"--schedule", "3", "photos"})->data, "photos");
  EXPECT_EQ(parse({"x", "--lr", "1", "--lr", "2"})->lr, 2);
  EXPECT_TRUE(parse({"x", "--cos"})->cos);
}

TEST(Flags, FlagBeatsConfigBeatsPresetBeatsDefault) {
  const ConfigFile file("epochs = 7\nlr = 0.5\nmoco_t = 0.07\n");
  const auto c = parse({"x", "--lr", "0.25", "--config", file.path(), "--preset", "densecl_coco_800ep"});
  EXPECT_EQ(c->lr, 0.25);      // flag
  EXPECT_EQ(c->epochs, 7);     // file
  EXPECT_EQ(c->moco_t, 0.07);  // file
  EXPECT_EQ(c->bn_groups, 8);  // preset
  EXPECT_EQ(c->keep, TrainConfig{}.keep);
  EXPECT_TRUE(c->cos);
  EXPECT_FALSE(parse({"x", "--preset", "densecl_coco_800ep", "--cos=false"})->cos);
}

TEST(Flags, ASavedConfigIsTheSameRunAgain) {
  TrainConfig config;
  config.data = "a \"quoted\" \\ folder\twith ünicode";
  config.lr = 0.1 + 0.2;
  config.wd = 0;
  config.moco_t = 1e-7;
  config.num_grid = 9;
  config.schedule = {};
  config.method = "mocov2";
  config.aug = "byol";
  config.crop_ratio = {0.1 + 0.2, 1};
  config.hue = {0, 1e-7};
  config.grayscale_prob = {1, 1};
  for (const bool cos : {false, true}) {
    config.cos = cos;
    const TrainConfig run = resolved(config);
    const ConfigFile file(to_toml(run));
    EXPECT_EQ(*parse({"--config", file.path()}), run);
    // Whatever lies below it.
    EXPECT_EQ(*parse({"--config", file.path(), "--preset", "densecl_imagenet_200ep"}), run);
  }
}

TEST(Flags, AugmentationFlagBeatsConfigBeatsRecipe) {
  const ConfigFile file("blur_prob = 0.7\nhue = [0.2, 0.3]\njitter_prob = 1\n");
  const auto c = parse({"x", "--hue", "0.05", "--aug", "byol", "--config", file.path()});
  const auto options = dcl::densecl::augment_options(*c);
  EXPECT_EQ(options.of_view(1).hue, 0.05);                  // flag
  EXPECT_EQ(options.of_view(1).blur_probability, 0.7);      // file
  EXPECT_EQ(options.of_view(1).jitter_probability, 1);      // file, a whole number
  EXPECT_EQ(options.of_view(1).solarize_probability, 0.2);  // recipe
  EXPECT_EQ(options.of_view(0).solarize_probability, 0);
  // A whole saved configuration gives way to another recipe.
  const ConfigFile saved(to_toml(resolved(*c)));
  EXPECT_EQ(augmentation_text(*parse({"--config", saved.path(), "--aug", "none"})), "none");
  EXPECT_EQ(augmentation_text(*parse({"--config", saved.path()})),
            "byol, --jitter-prob 1, --hue 0.05, --blur-prob 0.7");
}

TEST(Flags, ErrorsAreOneLineAndSuggest) {
  EXPECT_EQ(refusal({"x", "--batchsize", "3"}), "unknown flag --batchsize, did you mean --batch-size?");
  EXPECT_EQ(refusal({"x", "--epoch=3"}), "unknown flag --epoch, did you mean --epochs?");
  EXPECT_EQ(refusal({"x", "-z"}), "unknown flag -z");
  EXPECT_EQ(refusal({"x", "y"}), "unexpected argument 'y'");
  EXPECT_EQ(refusal({"--schedule", "120", "160", "x"}), "unexpected argument 'x'");
  EXPECT_EQ(refusal({"x", "--lr"}), "--lr: expected a value");
  EXPECT_EQ(refusal({"x", "--lr", "--cos"}), "--lr: '--cos' is not a number");
  EXPECT_EQ(refusal({"x", "--preset", "densecl_coco"}),
            "--preset: unknown preset 'densecl_coco', did you mean densecl_coco_800ep?");
  EXPECT_EQ(refusal({"x", "--config", "/nowhere/run.toml"}),
            "--config: /nowhere/run.toml: No such file or directory");
  EXPECT_NE(refusal({"x", "--cos=maybe"}), "accepted");
}

TEST(Flags, TomlErrorsNameFileLineAndKey) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"epochs = 3\nlrr = 1\n", ": lrr is unknown, did you mean lr?"},
      {"seed = 1\nlr = \"3\"\n", ": line 2: lr: expected a number"},
      {"epochs = 1.5\n", ": line 1: epochs: expected a whole number"},
      {"schedule = 3\n", ": line 1: schedule: expected a list of whole numbers"},
      {"schedule = [1, 2.5]\n", ": line 1: schedule: expected a list of whole numbers"},
      {"cos = 1\n", ": line 1: cos: expected true or false"},
      {"hue = [1, \"a\"]\n", ": line 1: hue: expected a number or a list of two, one a view"},
      {"hue = \"0.1\"\n", ": line 1: hue: expected a number or a list of two, one a view"},
      {"hue = []\n", ": hue: '' is not a number"},
      {"crop_scale = 0.2\n", ": line 1: crop_scale: expected a list of two numbers"},
      {"crop_scale = [0.2]\n", ": crop_scale: '0.2' is not two numbers LOW,HIGH"},
      {"data = 3\n", ": line 1: data: expected a string"},
      {"[model]\narch = \"resnet18\"\n", ": model is unknown"}};
  for (const auto& [text, message] : table) {
    const ConfigFile file(text);
    EXPECT_EQ(refusal({"x", "--config", file.path()}), file.path() + message) << text;
  }
  const ConfigFile broken("lr = \n");
  EXPECT_EQ(refusal({"x", "--config", broken.path()}).find(broken.path() + ": line 1: "), 0U);
  const ConfigFile twice("lr = 1\nlr = 2\n");
  EXPECT_NE(refusal({"x", "--config", twice.path()}), "accepted");
}

TEST(Flags, HelpIsGroupedAndShowsEveryDefault) {
  std::string help;
  EXPECT_FALSE(parse({"--help"}, &help));
  for (const char* group : {"Data and output", "Method and model", "Augmentation", "Training", "Running"})
    EXPECT_NE(help.find(std::string(group) + ":"), std::string::npos) << group;
  TrainConfig defaults;
  fill_augmentation(defaults);
  for (const auto& field : dcl::densecl::config_fields()) {
    if (field.name == "data") continue;
    const auto at = help.find("--" + std::string(field.name) + " ");
    ASSERT_NE(at, std::string::npos) << field.name;
    const std::string entry = help.substr(at, help.find("\n  -", at + 1) - at);
    const std::string value = field_text(defaults, field);
    const bool shown = value.empty() || value == "false" || entry.find("=" + value) != std::string::npos;
    EXPECT_TRUE(shown) << entry;
    EXPECT_NE(entry.find(std::string(field.help).substr(0, 12)), std::string::npos) << entry;
  }
  EXPECT_NE(help.find("probability of Gaussian blur [byol: 1,0.1; none: 0]\n"), std::string::npos);
}

TEST(Flags, VersionNamesCommitCompilerBlasAndCuda) {
  std::string text;
  EXPECT_FALSE(parse({"--version"}, &text));
  for (const char* fact : {"commit: ", "compiler: ", "BLAS: ",
                           dcl::tensor::cuda_is_emulated ? "CUDA: emulated"
                           : dcl::tensor::has_cuda       ? "CUDA: 1"
                                                         : "CUDA: none"})
    EXPECT_NE(text.find(fact), std::string::npos) << text;
}

}  // namespace
