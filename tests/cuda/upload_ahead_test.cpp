// Pictures that travel to the device beside its work, and a run that reads them ahead.
#include "tensor/cuda/upload_ahead.h"

#include <filesystem>
#include <string>
#include <vector>

#include "data/sampler.h"
#include "densecl/trainer.h"
#include "tests/cuda/cuda_rows.h"
#include "tests/support/pictures.h"

namespace dcl::test {
namespace {

#ifdef DCL_WITH_CUDA  // what is uploaded says where it is: not for kernels on the CPU's own

using namespace densecl;

// Of pieces that travel directly and of such that go through the ring of buffers.
TEST(UploadAhead, CopiesStandUntilTheNextButOne) {
  DCL_NEEDS_DEVICE();
  const auto ahead = tensor::cuda::make_upload_ahead({tensor::DeviceType::cuda, 0});
  std::vector<std::vector<Tensor>> host, there;
  for (std::uint64_t i = 0; i < 4; ++i) {
    host.push_back(
        {random_tensor({3, 5}, 2 * i), {}, random_tensor({i < 2 ? 1'300'000 : 70'000}, 2 * i + 1)});
    there.push_back(ahead->upload(host.back()));
    EXPECT_FALSE(there[i][1].defined());
    // The last two, each as it was given.
    for (std::uint64_t j = i == 0 ? 0 : i - 1; j <= i; ++j)
      for (const std::size_t k : {0, 2})
        expect_same_bits(to_host(there[j][k]), host[j][k], std::to_string(j));
  }
  EXPECT_EQ(there[0][0].raw(), there[2][0].raw());
  EXPECT_NE(there[0][0].raw(), there[1][0].raw());
}

struct Recorder final : report::Observer {
  void on_start(const std::string& /*block*/) override {}
  void on_step(const report::StepRecord& record) override { losses.push_back(record.losses.back().second); }
  void on_message(report::Level /*level*/, std::string_view line) override { messages.emplace_back(line); }
  void on_finish() override {}

  std::vector<double> losses;
  std::vector<std::string> messages;
};

constexpr std::int64_t kPictures = 24;  // an epoch of 6 steps

class CudaTrainer : public testing::Test {
 protected:
  CudaTrainer() {
    for (std::int64_t i = 0; i < kPictures; ++i)
      folder_.write(name_of(i), encode_jpeg(drawn_picture(40, 36, static_cast<std::uint64_t>(i))));
    folder_.write("out/made", "");
  }

  // In the order of their names.
  static std::string name_of(std::int64_t i) { return "photos/" + std::to_string(10 + i) + ".jpg"; }

  TrainConfig config(const std::string& graph) const {
    TrainConfig config;
    config.data = (folder_.path() / "photos").string();
    config.output_dir = (folder_.path() / "out").string();
    config.arch = "resnet18";
    config.image_size = 32;
    config.batch_size = 4;
    config.moco_k = 16;
    config.moco_dim = 8;
    config.neck_hidden = 16;
    config.epochs = 1;
    config.schedule = {};
    config.workers = 1;
    config.device = "cuda";
    config.cuda_graph = graph;
    return config;
  }

  // What went wrong; nothing otherwise.
  static std::string run(const TrainConfig& config, Recorder& recorder) {
    check_config(config);
    try {
      Trainer trainer(resolved(config));
      trainer.run(recorder, [] { return false; });
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
};

// A step that runs as a graph has the pictures of the next one read meanwhile: from the third on, and the
// third of those goes where the first was.
TEST_F(CudaTrainer, ReadsAheadWithTheSameLosses) {
  DCL_NEEDS_DEVICE();
  for (const std::string aug : {"cpu", "cuda"}) {
    std::vector<Recorder> runs;
    for (const std::string graph : {"off", "on"}) {
      TrainConfig config = this->config(graph);
      config.aug_device = aug;
      EXPECT_EQ(run(config, runs.emplace_back()), "") << aug;
      std::filesystem::remove_all(folder_.path() / "out");
      folder_.write("out/made", "");
    }
    EXPECT_EQ(runs[0].losses.size(), 6U) << aug;
    EXPECT_EQ(runs[0].losses, runs[1].losses) << aug;
  }
}

// It is found while the step before is at work, which is counted and shown first.
TEST_F(CudaTrainer, APictureThatCannotBeReadIsItsOwnStepsError) {
  DCL_NEEDS_DEVICE();
  TrainConfig config = this->config("on");
  config.on_bad_image = "stop";
  const data::Sampler sampler(
      {.size = kPictures, .batch = 4, .seed = static_cast<std::uint64_t>(config.seed)});
  const std::string bad = name_of(sampler.batch(sampler.order(0), 4).front());
  folder_.write(bad, "text");
  Recorder recorder;
  const std::string error = run(config, recorder);
  EXPECT_TRUE(error.starts_with(std::filesystem::path(bad).filename().string())) << error;
  EXPECT_EQ(recorder.losses.size(), 4U);
}

#endif

}  // namespace
}  // namespace dcl::test
