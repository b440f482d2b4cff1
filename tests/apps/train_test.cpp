// densecl_train as users meet it: runs, resumes after being killed, and behaves when disk or numbers give
// out.
#include <chrono>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/apps/training_run.h"

namespace {

namespace fs = std::filesystem;
using namespace dcl::test;

bool exists(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// One undisturbed run of two epochs, made once and compared with by all.
struct Reference {
  Reference() : result(place.train("reference")) {}
  fs::path folder() const { return place.path("reference"); }
  std::string last_checkpoint() const { return read_bytes(folder() / "epoch_2.safetensors"); }
  TrainingPlace place;
  ProgramResult result;
};
const Reference& reference() {
  static const Reference run;
  return run;
}

void expect_same_as_reference(const fs::path& folder) {
  EXPECT_EQ(metrics_of(folder), metrics_of(reference().folder()));
  EXPECT_TRUE(read_bytes(folder / "epoch_2.safetensors") == reference().last_checkpoint());
}

TEST(Train, LeavesLogMetricsConfigurationAndCheckpoints) {
  EXPECT_EQ(reference().result.status, 0);
  EXPECT_EQ(reference().result.err, "");
  const auto names = names_in(reference().folder());
  for (const char* name : {"config.toml", "train.log", "metrics.jsonl", "epoch_1.safetensors",
                           "epoch_2.safetensors", "latest.safetensors"})
    EXPECT_TRUE(exists(names, name)) << name;
  const auto metrics = metrics_of(reference().folder());
  ASSERT_EQ(metrics.size(), 10U);
  EXPECT_EQ(metrics[7].find("\"epoch\":2,\"iter\":3,\"step\":7,"), 0U) << metrics[7];
  for (const char* key : {"\"lr\":", "\"queue_fill\":", "\"acc1\":", "\"replaced\":0",
                          "\"loss_contra_single\":", "\"loss_contra_dense\":", "\"loss\":"})
    EXPECT_NE(metrics[7].find(key), std::string::npos) << key;
  EXPECT_NE(reference().result.out.find("Epoch [2][5/5]"), std::string::npos);
  EXPECT_NE(reference().result.out.find("random: "), std::string::npos);
  EXPECT_EQ(fs::read_symlink(reference().folder() / "latest.safetensors"), "epoch_2.safetensors");
}

TEST(Train, ASavedConfigurationRunsTheSameAgainWithAnyNumberOfWorkers) {
  const auto result =
      run_program("densecl_train", {"--config", (reference().folder() / "config.toml").string(), "-j", "4",
                                    "--output-dir", reference().place.path("again").string()});
  EXPECT_EQ(result.status, 0) << result.err;
  expect_same_as_reference(reference().place.path("again"));
}

TEST(Train, ResumesInTheMiddleOfAnEpochToTheLastBit) {
  const auto& place = reference().place;
  EXPECT_EQ(place.train("resumed", {"--max-iters", "7"}).status, 0);
  EXPECT_TRUE(exists(names_in(place.path("resumed")), "epoch_2_iter_2.safetensors"));
  EXPECT_EQ(place.train("resumed", {"--resume", "auto", "-j", "4"}).status, 0);
  expect_same_as_reference(place.path("resumed"));
  // Complete: once more changes nothing.
  EXPECT_EQ(place.train("resumed", {"--resume", "auto"}).status, 0);
  expect_same_as_reference(place.path("resumed"));
}

TEST(Train, KilledAtAnyMomentAndResumedIsTheSameRun) {
  const auto& place = reference().place;
  for (const char* workers : {"1", "4"}) {
    const std::string output = std::string("killed_") + workers;
    const auto flags = place.flags(output, {"--resume", "auto", "-j", workers});
    for (const char* line : {"Epoch [1][4/5]", "Epoch [2][2/5]"}) {
      RunningProgram run("densecl_train", flags);
      EXPECT_TRUE(run.wait_for(line)) << run.wait().err;
      run.send(SIGKILL);
      EXPECT_EQ(run.wait().status, -SIGKILL);
    }
    EXPECT_EQ(run_program("densecl_train", flags).status, 0);
    expect_same_as_reference(place.path(output));
  }
}

TEST(Train, SigtermSavesInsideTheEpochAndExitsWell) {
  const auto& place = reference().place;
  RunningProgram run("densecl_train", place.flags("stopped"));
  ASSERT_TRUE(run.wait_for("Epoch [1][2/5]")) << run.wait().err;
  const auto before = std::chrono::steady_clock::now();
  run.send(SIGTERM);
  EXPECT_EQ(run.wait().status, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(30));
  const auto latest = fs::read_symlink(place.path("stopped") / "latest.safetensors").string();
  EXPECT_EQ(latest.find("epoch_1_iter_"), 0U) << latest;
  EXPECT_EQ(place.train("stopped", {"--resume", "auto"}).status, 0);
  expect_same_as_reference(place.path("stopped"));
}

TEST(Train, ALossThatIsNotFiniteStopsBeforeItIsSaved) {
  const auto& place = reference().place;
  const auto result = place.train("exploded", {"--lr", "1e30"});
  EXPECT_EQ(result.status, 1);
  ASSERT_EQ(result.err_lines().size(), 1U) << result.err;
  EXPECT_NE(result.err.find("step 1: the loss is nan, the first tensor that is not finite is encoder_q."),
            std::string::npos)
      << result.err;
  for (const auto& name : names_in(place.path("exploded")))
    EXPECT_EQ(name.find("epoch_"), std::string::npos) << name;
}

TEST(Train, SkipsNoMoreUpdatesInARowThanAllowed) {
  const auto result = reference().place.train("skipped", {"--lr", "1e30", "--skip-nonfinite", "3"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.out.find("skipped, 3 of at most 3 in a row"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("step 4: "), std::string::npos) << result.err;
}

// A checkpoint is larger than the limit, all other files are smaller.
TEST(Train, AFullDiskKeepsTheLastGoodCheckpointAndGoesOn) {
  const auto& place = reference().place;
  ASSERT_EQ(place.train("full", {"--max-iters", "5"}).status, 0);
  const std::string good = read_bytes(place.path("full") / "epoch_1.safetensors");
  RunningProgram run("densecl_train", place.flags("full", {"--resume", "auto"}), good.size() / 2);
  const auto result = run.wait();
  EXPECT_EQ(result.status, 3);
  EXPECT_NE(result.out.find("the last good checkpoint is epoch_1.safetensors"), std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("Epoch [2][5/5]"), std::string::npos);
  EXPECT_TRUE(read_bytes(place.path("full") / "epoch_1.safetensors") == good);
  for (const auto& name : names_in(place.path("full")))
    EXPECT_TRUE(name.find("epoch_2") == std::string::npos) << name;
  EXPECT_EQ(place.train("full", {"--resume", "auto"}).status, 0);
  expect_same_as_reference(place.path("full"));
}

TEST(Train, AccumulatesPartsIntoOneUpdate) {
  const auto& place = reference().place;
  const auto result = place.train("parts", {"--accumulate", "2", "--bn-groups", "1", "--epochs", "1"});
  EXPECT_EQ(result.status, 0) << result.err;
  const auto metrics = metrics_of(place.path("parts"));
  ASSERT_EQ(metrics.size(), 5U);
  EXPECT_NE(metrics[0].find("\"queue_fill\":0.0625,"), std::string::npos) << metrics[0];  // 4 of 64 keys
}

TEST(Train, MocoV2HasOneLoss) {
  const auto& place = reference().place;
  EXPECT_EQ(place.train("moco", {"--method", "moco_v2", "--max-iters", "2"}).status, 0);
  const auto metrics = metrics_of(place.path("moco"));
  ASSERT_EQ(metrics.size(), 2U);
  EXPECT_NE(metrics[1].find("\"loss_contra\":"), std::string::npos);
  EXPECT_EQ(metrics[1].find("dense"), std::string::npos);
}

// A shorter run than the dozen steps shows what it has; where it is over too soon it says so. The checkpoints
// are those of the run without.
TEST(Train, ProfilesItsSteps) {
  const auto& place = reference().place;
  const auto result = place.train("profiled", {"--profile", "--max-iters", "5"});
  EXPECT_EQ(result.status, 0) << result.err;
  const auto trace = place.path("profiled") / "trace.json";
  for (const char* part :
       {"GFLOP/s", "\nconv2d_backward_weight ", "\nwait for pictures ", "\n(between ops) "})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in\n" << result.out;
  EXPECT_NE(result.out.find("profile: trace in " + trace.string()), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(trace));
  const auto plain = place.train("plain", {"--max-iters", "5"});
  EXPECT_EQ(metrics_of(place.path("profiled")), metrics_of(place.path("plain")));
  const auto brief = place.train("brief", {"--profile", "--max-iters", "2"});
  EXPECT_EQ(brief.status, 0);
  EXPECT_NE(brief.out.find("over before its third step"), std::string::npos) << brief.out;
}

TEST(Train, LambdaIsZeroWhileItWarmsUp) {
  const auto& place = reference().place;
  EXPECT_EQ(place.train("warm", {"--lambda-warmup", "2", "--max-iters", "3"}).status, 0);
  const auto metrics = metrics_of(place.path("warm"));
  ASSERT_EQ(metrics.size(), 3U);
  EXPECT_NE(metrics[1].find("\"loss_contra_dense\":0"), std::string::npos) << metrics[1];
  EXPECT_EQ(metrics[2].find("\"loss_contra_dense\":0,"), std::string::npos) << metrics[2];
}

TEST(Train, UnreadablePicturesAreReplacedNamedAndCounted) {
  const TrainingPlace place;
  place.folder().write("photos/text.jpg", "this is no picture");
  place.folder().write("photos/zero.jpg", "");
  const auto result = place.train("bad", {"--epochs", "3", "-b", "24", "--bn-groups", "1"});
  EXPECT_EQ(result.status, 0) << result.err;
  std::size_t named = 0;
  for (auto at = result.out.find("text.jpg"); at != std::string::npos;
       at = result.out.find("text.jpg", at + 1))
    ++named;
  EXPECT_EQ(named, 1U) << result.out;
  EXPECT_NE(metrics_of(place.path("bad")).back().find("\"replaced\":6"), std::string::npos);
  const auto stopped = place.train("stop", {"--on-bad-image", "stop", "-b", "24", "--bn-groups", "1"});
  EXPECT_EQ(stopped.status, 1);
  EXPECT_EQ(stopped.err_lines().size(), 1U) << stopped.err;
}

}  // namespace
