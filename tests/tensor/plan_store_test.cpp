// What keeps cuDNN's plans on disk, without cuDNN.
#include "tensor/io/plan_store.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace dcl::test {
namespace {

namespace fs = std::filesystem;
using tensor::DType;
using tensor::cuda::plan_folder;
using tensor::cuda::PlanKey;
using tensor::cuda::PlanKeyHash;
using tensor::cuda::PlanKind;
using tensor::cuda::PlanStore;

PlanKey some_key() {
  return {.kind = PlanKind::conv2d_backward_input,
          .dtype = DType::bfloat16,
          .device = 0,
          .sizes = {256, 56, 56, 64, 64, 3, 3, 1, 1, 1, 1}};
}

const std::string kLibrary = "cuDNN 91900";
const std::string kGpu = "NVIDIA H200";

class PlanStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / fmt::format("dcl_plans_{}_{}", test->name(), getpid());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(PlanKey, EveryFieldCounts) {
  std::vector<PlanKey> keys{some_key()};
  const auto with = [&](auto&& change) {
    PlanKey key = some_key();
    change(key);
    keys.push_back(key);
  };
  with([](PlanKey& key) { key.kind = PlanKind::conv2d; });
  with([](PlanKey& key) { key.kind = PlanKind::conv2d_backward_weight; });
  with([](PlanKey& key) { key.dtype = DType::float32; });
  with([](PlanKey& key) { key.device = 1; });
  for (std::size_t i = 0; i < some_key().sizes.size(); ++i) with([i](PlanKey& key) { key.sizes[i] += 1; });
  with([](PlanKey& key) { std::swap(key.sizes[0], key.sizes[1]); });
  std::set<std::size_t> hashes;
  std::set<std::string> texts;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < keys.size(); ++j) EXPECT_EQ(keys[i] == keys[j], i == j);
    hashes.insert(PlanKeyHash()(keys[i]));
    texts.insert(keys[i].str());
  }
  EXPECT_EQ(hashes.size(), keys.size());
  EXPECT_EQ(PlanKeyHash()(some_key()), PlanKeyHash()(keys[0]));
  EXPECT_EQ(texts.size(), keys.size() - 1);  // a plan on disk serves every GPU of its name
  EXPECT_EQ(some_key().str(), "conv2d_backward_input bfloat16 256 56 56 64 64 3 3 1 1 1 1 0");
}

TEST_F(PlanStoreTest, WhatWasSavedIsLoaded) {
  const PlanStore store(folder_ / "made" / "on the way", kLibrary, kGpu);
  EXPECT_EQ(store.load(some_key()), std::nullopt);
  const std::string plan = std::string("{\"engine\": 65,\n\n\"kernel\": \"") + '\0' + "\xff\r\n\"}";
  EXPECT_TRUE(store.save(some_key(), plan));
  EXPECT_EQ(store.load(some_key()), plan);
  PlanKey other = some_key();
  other.device = 3;
  EXPECT_EQ(store.load(other), plan);
  other.sizes[0] = 128;
  EXPECT_EQ(store.load(other), std::nullopt);
  EXPECT_TRUE(store.save(some_key(), "another"));
  EXPECT_EQ(store.load(some_key()), "another");
  EXPECT_TRUE(store.save(other, ""));
  EXPECT_EQ(store.load(other), "");
  const auto files = std::distance(fs::directory_iterator(store.path_of(other).parent_path()), {});
  EXPECT_EQ(files, 2);  // and nothing temporary
}

TEST_F(PlanStoreTest, AnotherLibraryOrGpuFindsNothing) {
  const PlanStore store(folder_, kLibrary, kGpu);
  ASSERT_TRUE(store.save(some_key(), "plan"));
  const PlanStore newer(folder_, "cuDNN 91901", kGpu);
  const PlanStore elsewhere(folder_, kLibrary, "NVIDIA H100");
  EXPECT_EQ(newer.load(some_key()), std::nullopt);
  EXPECT_EQ(elsewhere.load(some_key()), std::nullopt);
  // Nor a file of theirs under this store's name.
  ASSERT_TRUE(newer.save(some_key(), "newer"));
  fs::rename(newer.path_of(some_key()), store.path_of(some_key()));
  EXPECT_EQ(store.load(some_key()), std::nullopt);
}

TEST_F(PlanStoreTest, DamagedFilesCountAsNone) {
  const PlanStore store(folder_, kLibrary, kGpu);
  ASSERT_TRUE(store.save(some_key(), "a plan of some length"));
  const fs::path path = store.path_of(some_key());
  const std::string whole = bytes_of(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(path, whole.substr(0, size));
    ASSERT_EQ(store.load(some_key()), std::nullopt) << "cut off after " << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write(path, damaged);
    ASSERT_EQ(store.load(some_key()), std::nullopt) << "byte " << at;
  }
  write(path, whole + "x");
  EXPECT_EQ(store.load(some_key()), std::nullopt);
  EXPECT_TRUE(store.save(some_key(), "made anew"));
  EXPECT_EQ(store.load(some_key()), "made anew");
}

TEST_F(PlanStoreTest, FoldersThatCannotBeWrittenTo) {
  const PlanStore nowhere({}, kLibrary, kGpu);
  EXPECT_FALSE(nowhere.save(some_key(), "plan"));
  EXPECT_EQ(nowhere.load(some_key()), std::nullopt);
  fs::create_directories(folder_);
  write(folder_ / "file", "not a folder");
  const PlanStore in_a_file(folder_ / "file", kLibrary, kGpu);
  EXPECT_FALSE(in_a_file.save(some_key(), "plan"));
  EXPECT_EQ(in_a_file.load(some_key()), std::nullopt);
  EXPECT_EQ(bytes_of(folder_ / "file"), "not a folder");
  // A folder where the file should be.
  const PlanStore store(folder_, kLibrary, kGpu);
  fs::create_directories(store.path_of(some_key()) / "full");
  EXPECT_FALSE(store.save(some_key(), "plan"));
  EXPECT_EQ(store.load(some_key()), std::nullopt);
}

// An environment variable for the time of a scope; null takes it away.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) { value != nullptr ? setenv(name_, value, 1) : unsetenv(name_); }

  const char* name_;
  std::optional<std::string> before_;
};

TEST(PlanFolder, ComesFromTheEnvironment) {
  const Variable home("HOME", "/home/someone");
  const Variable cache("XDG_CACHE_HOME", nullptr);
  const Variable plans("DCL_PLAN_CACHE", nullptr);
  EXPECT_EQ(plan_folder(), "/home/someone/.cache/dcl");
  {
    const Variable set("XDG_CACHE_HOME", "/var/cache");
    EXPECT_EQ(plan_folder(), "/var/cache/dcl");
    const Variable chosen("DCL_PLAN_CACHE", "/tmp/plans");
    EXPECT_EQ(plan_folder(), "/tmp/plans");
    const Variable none("DCL_PLAN_CACHE", "");
    EXPECT_EQ(plan_folder(), "");
  }
  const Variable homeless("HOME", nullptr);
  EXPECT_EQ(plan_folder(), "");
}

}  // namespace
}  // namespace dcl::test
