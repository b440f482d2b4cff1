// Checkpoints: what is in them, how they replace each other, what is refused.
#include "densecl/checkpoint.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "densecl/replace_file.h"
#include "densecl/state_file.h"
#include "tensor/check.h"
#include "tests/support/pictures.h"

namespace {

namespace fs = std::filesystem;
using namespace dcl::densecl;
using dcl::tensor::Tensor;
using dcl::test::TemporaryFolder;

TrainConfig small_config(const fs::path& folder) {
  TrainConfig config;
  config.data = "photos";
  config.output_dir = folder.string();
  config.arch = "resnet18";
  config.moco_k = 16;
  config.moco_dim = 8;
  config.neck_hidden = 8;
  config.batch_size = 4;
  config.keep = 2;
  return config;
}

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const dcl::Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "none";
}

const Say kNobody = [](const std::string&) {};

// A model with its optimizer; all zeros, which is enough for most tests here.
struct Training {
  explicit Training(const TrainConfig& config)
      : model(model_options(config)), optimizer(model.parameters(), sgd_params(config)) {}
  std::vector<NamedTensor> everything() const {
    auto all = model.state();
    for (auto& [name, tensor] : optimizer.state()) all.push_back({"momentum " + name, tensor});
    return all;
  }
  void give_momentum() {
    dcl::optim::Sgd::State state;
    double value = 0;
    for (auto& [name, parameter] : model.parameters())
      state.emplace_back(name, Tensor::full(parameter.shape(), value += 0.5));
    optimizer.load_state(state);
  }
  ContrastiveModel model;
  dcl::optim::Sgd optimizer;
};

RunState state_at(std::int64_t epoch, std::int64_t iteration) {
  RunState state;
  state.position = {epoch, iteration, epoch * 5 + iteration};  // 5 iterations of 4 pictures an epoch
  state.updates = state.position.step;
  state.pictures = 21;
  state.replaced = 2;
  return state;
}

TEST(CheckpointFolder, NamesTellTheEpochAndTheIteration) {
  EXPECT_EQ(checkpoint_name({3, 0, 15}), "epoch_3.safetensors");
  EXPECT_EQ(checkpoint_name({3, 2, 17}), "epoch_4_iter_2.safetensors");
}

TEST(CheckpointFolder, TheNewestComesFirstAndOtherFilesDoNotCount) {
  const TemporaryFolder folder;
  EXPECT_FALSE(holds_checkpoints(folder.path()));
  for (const char* name : {"epoch_2.safetensors", "epoch_10.safetensors", "epoch_10_iter_3.safetensors",
                           "epoch_11_iter_1.safetensors", "epoch_x.safetensors", "epoch_03.safetensors",
                           "epoch_1.safetensors.old", ".epoch_12.safetensors.tmp", "notes.txt"})
    folder.write(name, "");
  std::vector<std::string> names;
  for (const auto& path : list_checkpoints(folder.path())) names.push_back(path.filename().string());
  EXPECT_EQ(names, (std::vector<std::string>{"epoch_11_iter_1.safetensors", "epoch_10.safetensors",
                                             "epoch_10_iter_3.safetensors", "epoch_2.safetensors"}));
  EXPECT_TRUE(holds_checkpoints(folder.path()));
  // What lies beyond the one that the last save pointed to belongs to another past.
  link_latest(folder.path() / "epoch_10.safetensors");
  EXPECT_EQ(list_checkpoints(folder.path()).size(), 3U);
  EXPECT_EQ(list_checkpoints(folder.path()).front().filename(), "epoch_10.safetensors");
}

TEST(CheckpointFolder, OnlyInterruptedSavesOfOursAreRemoved) {
  const TemporaryFolder folder;
  for (const char* name : {".epoch_12.safetensors.tmp", ".epoch_2_iter_3.safetensors.tmp",
                           ".latest.safetensors.tmp", ".somebodys.tmp", "epoch_1.safetensors", ".tmp"})
    folder.write(name, "");
  remove_interrupted_saves(folder.path());
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{".somebodys.tmp", ".tmp", "epoch_1.safetensors"}));
}

TEST(CheckpointFolder, AFailedWriteLeavesTheOldFileAndNoOther) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "epoch_1.safetensors";
  replace_file(file, [](int descriptor, const std::string&) { ASSERT_EQ(::write(descriptor, "old", 3), 3); });
  EXPECT_EQ(bytes_of(file), "old");
  EXPECT_THROW(replace_file(file,
                            [](int descriptor, const std::string&) {
                              ASSERT_EQ(::write(descriptor, "n", 1), 1);
                              dcl::fail("disk full");
                            }),
               dcl::Error);
  EXPECT_EQ(bytes_of(file), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"epoch_1.safetensors"});
}

TEST(Checkpoint, HoldsTheCompleteStateUnderTheAuthorsNames) {
  const TemporaryFolder folder;
  const TrainConfig config = small_config(folder.path());
  Training run(config);
  run.model.initialise(3);
  run.give_momentum();
  const fs::path path = save_checkpoint(folder.path(), config, state_at(2, 3), run.model, run.optimizer);
  EXPECT_EQ(path.filename(), "epoch_3_iter_3.safetensors");
  EXPECT_EQ(fs::read_symlink(folder.path() / "latest.safetensors"), path.filename());

  const Checkpoint checkpoint = read_checkpoint(path);
  EXPECT_EQ(checkpoint.state.position, (Position{2, 3, 13}));
  EXPECT_EQ(checkpoint.state.replaced, 2);
  EXPECT_EQ(checkpoint.file.at("encoder_q.0.conv1.weight").shape().str(), "[64,3,7,7]");
  EXPECT_EQ(checkpoint.file.at("encoder_k.1.mlp2.2.weight").shape().str(), "[8,8,1,1]");
  EXPECT_EQ(checkpoint.file.at("queue").shape().str(), "[8,16]");
  EXPECT_EQ(checkpoint.file.at("queue2_ptr").numel(), 1);
  EXPECT_NE(checkpoint.file.find("momentum_buffer.encoder_q.1.mlp.0.weight"), nullptr);
  EXPECT_EQ(checkpoint.file.metadata.at("config.seed"), "0");
  // Nothing that differs between two machines or two days.
  for (const auto& [key, value] : checkpoint.file.metadata)
    EXPECT_EQ(value.find(folder.path().string()), std::string::npos) << key;
  EXPECT_EQ(checkpoint.file.metadata.count("config.data"), 0U);
  EXPECT_EQ(checkpoint.file.metadata.count("config.workers"), 0U);

  Training other(config);
  load_checkpoint(checkpoint, other.model, other.optimizer);
  const auto expected = run.everything();
  const auto got = other.everything();
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, expected[i].name);
    EXPECT_EQ(got[i].tensor.to_vector<double>(), expected[i].tensor.to_vector<double>()) << got[i].name;
  }
}

TEST(Checkpoint, TheSameStateGivesTheSameBytesAndOnlyTheLastAreKept) {
  const TemporaryFolder folder;
  const TemporaryFolder second;
  const TrainConfig config = small_config(folder.path());
  TrainConfig elsewhere = small_config(second.path());
  elsewhere.data = "other/place";
  elsewhere.workers = 1;
  Training run(config);
  for (std::int64_t epoch = 1; epoch <= 4; ++epoch)
    save_checkpoint(folder.path(), config, state_at(epoch, 0), run.model, run.optimizer);
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{"epoch_3.safetensors", "epoch_4.safetensors", "latest.safetensors"}));
  save_checkpoint(second.path(), elsewhere, state_at(4, 0), run.model, run.optimizer);
  EXPECT_EQ(bytes_of(folder.path() / "epoch_4.safetensors"), bytes_of(second.path() / "epoch_4.safetensors"));
}

TEST(Checkpoint, DamageIsFoundWhereverItIs) {
  const TemporaryFolder folder;
  const TrainConfig config = small_config(folder.path());
  Training run(config);
  const fs::path path = save_checkpoint(folder.path(), config, state_at(1, 0), run.model, run.optimizer);
  const std::string good = bytes_of(path);
  const auto refused = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    const std::string error = error_of([&] { read_checkpoint(path); });
    return error.find(path.string()) != std::string::npos;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("not a checkpoint at all"));
  EXPECT_TRUE(refused(good.substr(0, good.size() / 2)));
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1)));
  EXPECT_TRUE(refused(good + "x"));
  for (const double place : {0.0, 1e-4, 0.7}) {
    std::string flipped = good;
    flipped[static_cast<std::size_t>(place * static_cast<double>(good.size()))] ^= 0x10;
    EXPECT_TRUE(refused(flipped)) << place;
  }
  EXPECT_FALSE(refused(good));
  // Well formed, but not ours.
  dcl::tensor::io::write_safetensors(
      path.string(), std::vector<dcl::tensor::io::NamedTensor>{{"weight", Tensor::zeros({2})}});
  EXPECT_EQ(error_of([&] { read_checkpoint(path); }),
            path.string() + ": not a checkpoint of a run, its format is not 'dcl checkpoint 1'");
}

TEST(Checkpoint, AutoTakesTheNewestWholeOne) {
  const TemporaryFolder folder;
  TrainConfig config = small_config(folder.path());
  config.resume = "auto";
  EXPECT_FALSE(find_checkpoint(config, kNobody));
  Training run(config);
  save_checkpoint(folder.path(), config, state_at(1, 0), run.model, run.optimizer);
  save_checkpoint(folder.path(), config, state_at(2, 0), run.model, run.optimizer);
  EXPECT_EQ(find_checkpoint(config, kNobody)->state.position.epoch, 2);

  fs::resize_file(folder.path() / "epoch_2.safetensors", 1000);
  std::string said;
  EXPECT_EQ(find_checkpoint(config, [&](const std::string& line) { said = line; })->state.position.epoch, 1);
  EXPECT_NE(said.find("epoch_2.safetensors"), std::string::npos);
  EXPECT_NE(said.find("going on from the older epoch_1.safetensors"), std::string::npos);

  fs::resize_file(folder.path() / "epoch_1.safetensors", 1000);
  const std::string error = error_of([&] { find_checkpoint(config, kNobody); });
  EXPECT_NE(error.find("epoch_2.safetensors"), std::string::npos) << error;
  EXPECT_NE(error.find("no older one is whole"), std::string::npos) << error;
  // One that was named is not replaced by another.
  save_checkpoint(folder.path(), config, state_at(1, 0), run.model, run.optimizer);
  config.resume = (folder.path() / "epoch_2.safetensors").string();
  EXPECT_NE(error_of([&] { find_checkpoint(config, kNobody); }), "none");
}

TEST(Checkpoint, AnotherRunIsRefusedNamingBothValues) {
  const TemporaryFolder folder;
  const TrainConfig config = small_config(folder.path());
  Training run(config);
  const fs::path path = save_checkpoint(folder.path(), config, state_at(1, 2), run.model, run.optimizer);
  const Checkpoint checkpoint = read_checkpoint(path);
  const auto error_with = [&](const auto& change) {
    TrainConfig other = config;
    change(other);
    return error_of([&] { check_same_run(checkpoint, other, 21, kNobody); });
  };
  const std::string start = "--resume " + path.string() + ": ";
  EXPECT_EQ(error_with([](TrainConfig&) {}), "none");
  EXPECT_EQ(error_with([](TrainConfig& c) { c.arch = "resnet50"; }),
            start + "--arch is resnet50, the checkpoint has resnet18");
  EXPECT_EQ(error_with([](TrainConfig& c) { c.moco_k = 32; }),
            start + "--moco-k is 32, the checkpoint has 16");
  EXPECT_EQ(error_with([](TrainConfig& c) { c.batch_size = 8; }),
            start + "--batch-size is 8, the checkpoint has 4");
  EXPECT_EQ(error_with([](TrainConfig& c) { c.seed = 5; }), start + "--seed is 5, the checkpoint has 0");
  EXPECT_EQ(error_with([](TrainConfig& c) { c.method = "mocov2"; }),
            start + "--method is mocov2, the checkpoint has densecl");
  EXPECT_EQ(error_with([](TrainConfig& c) { c.num_grid = 3; }),
            start + "--num-grid is 3, the checkpoint has unset");
  EXPECT_EQ(error_of([&] { check_same_run(checkpoint, config, 22, kNobody); }),
            start + "photos holds 22 pictures, the checkpoint's set had 21");
  // The recipe may change, and that is said; what does not touch the numbers is not spoken of.
  TrainConfig other = config;
  other.lr = 0.5;
  other.workers = 1;
  std::vector<std::string> said;
  check_same_run(checkpoint, other, 21, [&](std::string line) { said.push_back(std::move(line)); });
  EXPECT_EQ(said, std::vector<std::string>{"resume: --lr is 0.5, before it was 0.03"});
  other = config;
  other.hue = {0.1, 0.2};
  said.clear();
  check_same_run(checkpoint, other, 21, [&](std::string line) { said.push_back(std::move(line)); });
  EXPECT_EQ(said, std::vector<std::string>{"resume: --hue is 0.1,0.2, before it was unset"});
}

}  // namespace
