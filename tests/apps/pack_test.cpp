// densecl_pack as users meet it, and training from every kind of set that the same pictures can be in.
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "data/open_source.h"
#include "tests/apps/training_run.h"

namespace {

using namespace dcl::test;

TEST(PackProgram, KilledTenTimesItEndsComplete) {
  const TemporaryFolder folder;
  for (int i = 0; i < 1500; ++i)
    folder.write("in/" + std::to_string(i) + ".jpg",
                 encode_jpeg(drawn_picture(40, 48, static_cast<std::uint64_t>(i))));
  const std::string in = (folder.path() / "in").string();
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same moments each time
  for (const char* name : {"x.lmdb", "x.tar"}) {
    const std::string out = (folder.path() / name).string();
    const std::vector<std::string> arguments = {in, out, "--quality", "60", "--threads", "1"};
    int killed = 0;
    for (int i = 0; i < 10; ++i) {
      RunningProgram run("densecl_pack", arguments);
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 120));
      run.send(SIGKILL);
      killed += run.wait().status == -SIGKILL ? 1 : 0;
      if (!std::filesystem::exists(out)) continue;
      if (killed > 0) break;
      std::filesystem::remove_all(out);  // it was faster than the first kill
    }
    EXPECT_GT(killed, 0);
    if (!std::filesystem::exists(out)) {
      const auto last = run_program("densecl_pack", arguments);
      ASSERT_EQ(last.status, 0) << last.err;
      EXPECT_NE(last.out.find("1500 pictures in "), std::string::npos) << last.out;
    }
    EXPECT_EQ(dcl::data::open_source(out)->size(), 1500);
    const auto whole = run_program("densecl_pack", {in, out + ".again" + std::string(name).substr(1),
                                                    "--quality", "60", "--threads", "2"});
    ASSERT_EQ(whole.status, 0) << whole.err;
    const auto a = dcl::data::open_source(out);
    const auto b = dcl::data::open_source(out + ".again" + std::string(name).substr(1));
    for (std::int64_t i = 0; i < 1500; i += 7) EXPECT_EQ(a->read(i).bytes, b->read(i).bytes) << i;
  }
}

TEST(PackProgram, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  folder.write("in/1.jpg", encode_jpeg(drawn_picture(8, 8)));
  folder.write("there.tar", std::string_view("mine"));
  const std::string in = (folder.path() / "in").string();
  const auto refused = [&](const std::vector<std::string>& arguments, int status, const std::string& part) {
    const auto result = run_program("densecl_pack", arguments);
    EXPECT_EQ(result.status, status) << part;
    ASSERT_EQ(result.err_lines().size(), 1U) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  refused({in, (folder.path() / "there.tar").string()}, 1, "is there already");
  EXPECT_EQ(read_bytes(folder.path() / "there.tar"), "mine");
  refused({in, (folder.path() / "x").string()}, 2, "ends neither in .lmdb nor in .tar");
  refused({in, (folder.path() / "x").string(), "--to", "zip"}, 2, "--to: 'zip' is unknown");
  refused({in, (folder.path() / "x.lmdb").string(), "--shard-size", "5"}, 2, "only tar has shards");
  refused({in + "x", (folder.path() / "x.lmdb").string()}, 1, "no such file or folder");
  refused({in, "/nowhere/x.lmdb"}, 1, "/nowhere/x.lmdb.partial");
  refused({in, "/proc/nowhere/x.tar"}, 1, "/proc/nowhere");
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"in", "there.tar"}));
}

// Folder, list, COCO, class folders, VOC, LMDB, tar and shards of the same pictures: the same losses.
TEST(Sources, GiveTheSameLosses) {
  const TrainingPlace place;
  const auto photos = place.path("photos");
  std::string list;
  std::string images;
  for (const auto& name : names_in(photos)) {
    list += "photos/" + name + " 3\n";
    images += (images.empty() ? "" : ",") + std::string(R"({"file_name":")") + name + "\"}";
  }
  place.folder().write("list.txt", list);
  place.folder().write("coco/annotations/instances_train2017.json", R"({"images":[)" + images + "]}");
  for (const char* copy : {"coco/train2017", "classes/only", "voc/JPEGImages"}) {
    std::filesystem::create_directories(place.path(copy).parent_path());
    std::filesystem::copy(photos, place.path(copy));
  }
  for (const char* name : {"x.lmdb", "x.tar"})
    ASSERT_EQ(run_program("densecl_pack", {photos.string(), place.path(name).string()}).status, 0);
  ASSERT_EQ(run_program("densecl_pack",
                        {photos.string(), place.path("shards").string(), "--to", "tar", "--shard-size", "1"})
                .status,
            0);
  ASSERT_EQ(place.train("reference", {"--max-iters", "2"}).status, 0);
  const auto expected = metrics_of(place.path("reference"));
  ASSERT_EQ(expected.size(), 2U);
  const std::vector<std::pair<const char*, const char*>> sets = {
      {"list.txt", "auto"}, {"coco", "auto"},   {"coco/train2017", "auto"}, {"classes", "imagenet"},
      {"voc", "auto"},      {"x.lmdb", "auto"}, {"x.tar", "auto"},          {"shards", "auto"}};
  for (const auto& [name, format] : sets) {
    std::string out = std::string("out_") + name;
    std::ranges::replace(out, '/', '_');
    auto flags = place.flags(out, {"--max-iters", "2", "--data-format", format});
    flags.front() = place.path(name).string();
    const auto result = run_program("densecl_train", flags);
    ASSERT_EQ(result.status, 0) << name << ": " << result.err;
    EXPECT_EQ(metrics_of(place.path(out)), expected) << name;
  }
}

}  // namespace
