// What densecl_train cannot do is said in one line on standard error, with a status that is not 0, and
// nothing is written.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tensor/device.h"
#include "tests/apps/training_run.h"

namespace {

namespace fs = std::filesystem;
using namespace dcl::test;

const TrainingPlace& place() {
  static const TrainingPlace the_place;
  return the_place;
}

void expect_refused(const ProgramResult& result, const std::string& what) {
  EXPECT_GT(result.status, 0) << what;
  ASSERT_EQ(result.err_lines().size(), 1U) << what << ": " << result.err;
  EXPECT_NE(result.err.find(what), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("densecl_train: "), 0U) << result.err;
}

TEST(BadInput, FlagsAndValues) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> table = {
      {{"--batchsize", "4"}, "unknown flag --batchsize, did you mean --batch-size?"},
      {{"--preset", "densecl_coco_80ep"}, "did you mean densecl_coco_800ep?"},
      {{"--arch", "resnet5"}, "did you mean resnet50?"},
      {{"--arch", "vit"}, "unknown arch 'vit', expected one of resnet18, "},
      {{"--lr", "-1"}, "--lr: -1 is out of range"},
      {{"--lr", "nan"}, "--lr: nan is not a finite number"},
      {{"--moco-t", "inf"}, "--moco-t: inf is not a finite number"},
      {{"--image-size", "31"}, "--image-size: 31 is out of range, expected 32"},
      {{"-b", "23"}, "--bn-groups 2 does not divide --batch-size 23"},
      {{"-b", "24", "--bn-groups", "1"}, "--batch-size 24 is larger than the set: "},
      {{"-b", "65", "--bn-groups", "1"}, "--batch-size 65 is larger than the queue (--moco-k 64)"},
      {{"--bn-groups", "3"}, "--bn-groups 3 does not divide --batch-size 4"},
      {{"--bn-groups", "4"}, "one value a channel"},
      {{"--accumulate", "4", "--bn-groups", "1"}, "one value a channel"},
      {{"--accumulate", "3"}, "--accumulate 3 does not divide --batch-size 4"},
      {{"--precision", "fp64"}, "--precision fp64: "},
      {{"--config", "/nowhere.toml"}, "/nowhere.toml: No such file"},
      {{"--resume", "/nowhere.safetensors"}, "/nowhere.safetensors: "}};
  for (const auto& [flags, what] : table) {
    expect_refused(place().train("never", flags), what);
    EXPECT_FALSE(fs::exists(place().path("never"))) << what;
  }
}

TEST(BadInput, ADeviceThatIsNotThere) {
  const std::string why = dcl::tensor::why_unusable({dcl::tensor::DeviceType::cuda});
  if (why.empty()) GTEST_SKIP() << "this machine has a GPU that this build runs on";
  expect_refused(place().train("never", {"--device", "cuda"}), "--device cuda: " + why);
  EXPECT_FALSE(fs::exists(place().path("never")));
}

TEST(BadInput, ConfigurationFiles) {
  for (const auto& [text, what] :
       {std::pair("batchsize = 3\n", "batchsize is unknown, did you mean batch_size?"),
        std::pair("lr = \"high\"\n", "line 1: lr: expected a number"), std::pair("lr = [\n", "line ")}) {
    place().folder().write("run.toml", std::string_view(text));
    expect_refused(place().train("never", {"--config", place().path("run.toml").string()}), what);
  }
  EXPECT_FALSE(fs::exists(place().path("never")));
}

TEST(BadInput, PictureFolders) {
  fs::create_directories(place().path("empty"));
  place().folder().write("unreadable/a.jpg", "text");
  for (int i = 0; i < 4; ++i) place().folder().write("unreadable/" + std::to_string(i) + ".jpg", "");
  place().folder().write("photos.tar", "x");
  place().folder().write("lmdb/data.mdb", "x");
  for (const char* name : {"missing", "empty", "unreadable", "photos.tar", "lmdb", "photos/1.jpg"}) {
    auto flags = place().flags("never");
    flags.front() = place().path(name).string();
    expect_refused(run_program("densecl_train", flags), name);
    EXPECT_FALSE(fs::exists(place().path("never"))) << name;
  }
  expect_refused(run_program("densecl_train", {"--arch", "resnet18"}), "the folder of pictures is missing");
}

TEST(BadInput, OutputFolders) {
  place().folder().write("file", "a file, not a folder");
  expect_refused(place().train("file"), "is not a folder");
  EXPECT_EQ(read_bytes(place().path("file")), "a file, not a folder");
  expect_refused(place().train("file/below"), place().path("file/below").string());
  expect_refused(run_program("densecl_train", place().flags("x", {"--output-dir", "/proc/nothing"})),
                 "/proc/nothing");

  fs::create_directories(place().path("locked"));
  fs::permissions(place().path("locked"), fs::perms::owner_read | fs::perms::owner_exec);
  if (::geteuid() != 0)  // root may write anywhere
    expect_refused(place().train("locked"), place().path("locked").string());

  place().folder().write("used/epoch_3.safetensors", "somebody's");
  place().folder().write("used/metrics.jsonl", "{\"step\":1}\n");
  expect_refused(place().train("used"), "holds checkpoints of a run");
  EXPECT_EQ(read_bytes(place().path("used/metrics.jsonl")), "{\"step\":1}\n");
  EXPECT_EQ(names_in(place().path("used")).size(), 2U);
}

TEST(BadInput, CheckpointsToResumeFrom) {
  place().folder().write("used/epoch_3.safetensors", "somebody's");
  place().folder().write("used/metrics.jsonl", "{\"step\":1}\n");
  ASSERT_EQ(place().train("good", {"--max-iters", "2"}).status, 0);
  const fs::path checkpoint = place().path("good/epoch_1_iter_2.safetensors");
  const std::string metrics = read_bytes(place().path("good/metrics.jsonl"));
  expect_refused(place().train("good", {"--resume", "auto", "--seed", "9"}),
                 "--seed is 9, the checkpoint has 0");
  expect_refused(place().train("good", {"--resume", "auto", "--arch", "resnet34"}),
                 "--arch is resnet34, the checkpoint has resnet18");
  expect_refused(place().train("good", {"--resume", "auto", "--moco-k", "32"}),
                 "--moco-k is 32, the checkpoint has 64");
  expect_refused(place().train("good", {"--resume", "auto", "-b", "8"}),
                 "--batch-size is 8, the checkpoint has 4");
  // A checkpoint of one folder does not go on into another that holds a run of its own.
  expect_refused(place().train("used", {"--resume", checkpoint.string()}), "holds a run that --resume");
  EXPECT_EQ(names_in(place().path("used")).size(), 2U);
  fs::resize_file(checkpoint, fs::file_size(checkpoint) - 1);
  expect_refused(place().train("good", {"--resume", "auto"}), "epoch_1_iter_2.safetensors");
  expect_refused(place().train("good", {"--resume", checkpoint.string()}), "epoch_1_iter_2.safetensors");
  EXPECT_EQ(read_bytes(place().path("good/metrics.jsonl")), metrics);
}

}  // namespace
