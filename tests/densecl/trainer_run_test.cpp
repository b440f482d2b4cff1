// A Trainer in this process, with threads that load and threads that compute: what the program's own tests
// see from outside, here where the sanitizers look. (The thread sanitizer runs these.)
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "densecl/trainer.h"
#include "tests/support/pictures.h"

namespace {

using namespace dcl::densecl;
using report::Level;
using report::StepRecord;

struct Recorder final : report::Observer {
  void on_start(const std::string& block) override { start = block; }
  void on_step(const StepRecord& record) override { steps.push_back(record); }
  void on_message(Level /*level*/, std::string_view line) override { messages.emplace_back(line); }
  void on_finish() override { ++finished; }

  std::vector<double> losses() const {
    std::vector<double> all;
    for (const auto& step : steps) all.push_back(step.losses.back().second);
    return all;
  }

  std::string start;
  std::vector<StepRecord> steps;
  std::vector<std::string> messages;
  int finished = 0;
};

// 10 pictures, one of them broken: an epoch has 2 steps of 4.
class TrainerThreads : public testing::Test {
 protected:
  TrainerThreads() {
    for (std::uint64_t i = 0; i < 9; ++i)
      folder_.write("photos/" + std::to_string(i) + ".jpg",
                    dcl::test::encode_jpeg(dcl::test::drawn_picture(40, 36, i)));
    folder_.write("photos/broken.jpg", "text");
    folder_.write("out/made", "");
  }

  TrainConfig config(std::int64_t workers) const {
    TrainConfig config;
    config.data = (folder_.path() / "photos").string();
    config.output_dir = (folder_.path() / "out").string();
    config.arch = "resnet18";
    config.image_size = 32;
    config.batch_size = 4;
    config.moco_k = 16;
    config.moco_dim = 8;
    config.neck_hidden = 16;
    config.bn_groups = 2;
    config.epochs = 2;
    config.schedule = {};
    config.workers = workers;
    config.threads = 2;
    check_config(config);
    return resolved(config);
  }

  static Recorder run(
      const TrainConfig& config, const std::function<bool()>& should_stop = [] { return false; }) {
    Recorder recorder;
    Trainer trainer(config);
    trainer.run(recorder, should_stop);
    return recorder;
  }

  dcl::test::TemporaryFolder folder_;
};

TEST_F(TrainerThreads, DoNotChangeWhatIsComputed) {
  const Recorder alone = run(config(0));
  const Recorder many = run(config(3));
  ASSERT_EQ(alone.steps.size(), 4U);
  EXPECT_EQ(alone.losses(), many.losses());
  EXPECT_EQ(alone.finished, 1);
  EXPECT_NE(many.start.find("resnet18"), std::string::npos);
  // Two epochs of 8 of the 10 pictures meet the broken one at least once; it is named once.
  const auto named = std::ranges::count_if(
      many.messages, [](const auto& line) { return line.find("broken.jpg") != std::string::npos; });
  EXPECT_EQ(named, many.steps.back().replaced > 0 ? 1 : 0);
  EXPECT_EQ(many.steps.back().replaced, alone.steps.back().replaced);
}

// The start says which recipe it is, and the losses are those of other views.
TEST_F(TrainerThreads, TrainOnTheViewsOfTheirRecipe) {
  TrainConfig config = this->config(1);
  const Recorder mocov2 = run(config);
  EXPECT_NE(mocov2.start.find("\naugmentation: mocov2\n"), std::string::npos) << mocov2.start;
  apply(config, {"", {{"aug", "none"}, {"flip-prob", "0,1"}}});
  const Recorder none = run(config);
  EXPECT_NE(none.start.find("\naugmentation: none, --flip-prob 0,1\n"), std::string::npos) << none.start;
  EXPECT_NE(none.losses().front(), mocov2.losses().front());
}

// Asked to stop in the middle of its second step, and given no time to finish it.
TEST_F(TrainerThreads, TakeBackAStepThatTakesTooLong) {
  const std::vector<double> whole = run(config(2)).losses();
  TrainConfig again = config(2);
  again.output_dir = (folder_.path() / "left").string();
  folder_.write("left/made", "");
  Recorder first;
  {
    Trainer trainer(again);
    trainer.set_patience(std::chrono::milliseconds(0));
    int asked = 0;
    const auto should_stop = [&] { return first.steps.size() == 1 && ++asked > 100; };
    const TrainResult result = trainer.run(first, should_stop);
    EXPECT_TRUE(result.stopped);
    EXPECT_EQ(result.position, (Position{0, 1, 1}));
    EXPECT_EQ(std::ranges::count(first.messages, "step 1 takes too long to wait for: taken back"), 1);
    // The same trainer goes on as if nothing had been; nothing is saved where it ends.
    EXPECT_FALSE(trainer.run(first, [&] { return first.steps.size() == 2; }).position == Position{});
  }
  again.resume = "auto";
  const Recorder second = run(again);
  std::vector<double> both = first.losses();
  for (const double loss : second.losses()) both.push_back(loss);
  EXPECT_EQ(both, whole);
}

TEST_F(TrainerThreads, StopAndGoOnWithTheSameNumbers) {
  const std::vector<double> whole = run(config(2)).losses();
  TrainConfig again = config(2);
  again.output_dir = (folder_.path() / "stopped").string();
  folder_.write("stopped/made", "");
  int asked = 0;
  Recorder first = run(again, [&] { return ++asked > 2; });
  EXPECT_TRUE(std::ranges::count(first.messages, "stopped by a signal") == 1);
  again.resume = "auto";
  const Recorder second = run(again);
  std::vector<double> both = first.losses();
  for (const double loss : second.losses()) both.push_back(loss);
  EXPECT_LT(first.steps.size(), 4U);
  EXPECT_EQ(both, whole);
}

}  // namespace
