// Tar archives as GNU tar writes them, in all its formats.
#include "data/tar_source.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/file_source.h"
#include "data/open_source.h"
#include "data/tar_index.h"
#include "tests/ops/op_table.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

// tar ARGUMENTS in a folder.
void tar(const fs::path& folder, const std::string& arguments) {
  const std::string command = "cd '" + folder.string() + "' && tar " + arguments;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
}

void write_bytes(const fs::path& path, std::span<const std::uint8_t> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::string text(const Sample& sample) { return {sample.bytes.begin(), sample.bytes.end()}; }

const std::string kLong = std::string(120, 'd') + "/" + std::string(90, 'f') + ".jpg";

class TarFormats : public testing::TestWithParam<const char*> {};

TEST_P(TarFormats, GiveNamesBytesAndLabels) {
  const test::TemporaryFolder folder;
  const bool old = std::string_view(GetParam()) == "v7";
  std::vector<std::string> names = {"a/1.jpg", "a/2.PNG", "b.jpeg"};
  if (!old) names.push_back(kLong);  // 215 bytes: behind a prefix, a long link or a pax record
  for (const auto& name : names) folder.write("in/" + name, std::string_view(name));
  folder.write("in/big.jpg", std::vector<std::uint8_t>(5000, 7));
  folder.write("in/empty.jpg", std::string_view(""));
  folder.write("in/a/1.cls", std::string_view("17\n"));
  folder.write("in/notes.txt", std::string_view("no picture"));
  names.emplace_back("big.jpg");
  names.emplace_back("empty.jpg");
  std::string order = "a/1.cls notes.txt";
  for (const auto& name : names) order += " " + name;
  tar(folder.path() / "in",
      std::string("--format=") + GetParam() + " -cf ../x.tar a " + "notes.txt " + order);
  const TarSource source(folder.path() / "x.tar");
  std::vector<std::string> seen;
  for (std::int64_t i = 0; i < source.size(); ++i) {
    const Sample sample = source.read(i);
    seen.push_back(sample.name);
    if (sample.name == "big.jpg") {
      EXPECT_EQ(sample.bytes, std::vector<std::uint8_t>(5000, 7));
    } else {
      EXPECT_EQ(text(sample), sample.name == "empty.jpg" ? "" : sample.name);
    }
    EXPECT_EQ(sample.label, sample.name == "a/1.jpg" ? 17 : kNoLabel) << sample.name;
  }
  for (const auto& name : names) EXPECT_GE(std::ranges::count(seen, name), 1) << name;
  expect_error([&] { source.read(source.size()); }, {"does not exist"});
}

INSTANTIATE_TEST_SUITE_P(Tar, TarFormats, testing::Values("gnu", "pax", "ustar", "v7"),
                         [](const auto& each) { return std::string(each.param); });

class TarArchives : public testing::TestWithParam<const char*> {};

TEST_P(TarArchives, HoldWhatPythonFindsInThem) {
  const fs::path golden = fs::path(DCL_SOURCE_DIR) / "tests/golden/tar";
  const std::string name = std::string(GetParam()) + ".tar";
  const auto pictures = nlohmann::json::parse(std::ifstream(golden / "pictures.json")).at(name);
  const TarSource source(golden / name);
  ASSERT_EQ(source.size(), std::ssize(pictures));
  for (std::int64_t i = 0; i < source.size(); ++i) {
    const auto& expected = pictures.at(static_cast<std::size_t>(i));
    const auto picture = expected.at(0).get<std::string>();
    if (expected.at(1).is_null()) {
      expect_error([&] { source.read(i); },
                   {fmt::format("{}: {} is a link to no file of this archive", name, picture)});
      continue;
    }
    const Sample sample = source.read(i);
    EXPECT_EQ(sample.name, picture) << i;
    EXPECT_EQ(text(sample), expected.at(1).get<std::string>()) << picture;
  }
}

INSTANTIATE_TEST_SUITE_P(Tar, TarArchives, testing::Values("sizes", "links_gnu", "links_pax"),
                         [](const auto& each) { return std::string(each.param); });

// The same pictures as the folder has that was archived, whether their files share their bytes or not.
TEST(TarSource, LinkedPicturesAreThoseOfTheFolder) {
  const test::TemporaryFolder folder;
  folder.write("in/a.jpg", std::string_view("a"));
  folder.write("in/a.cls", std::string_view("3"));
  for (const char* name : {"in/b.jpg", "in/c/d.png"}) {
    fs::create_directories((folder.path() / name).parent_path());
    fs::create_hard_link(folder.path() / "in/a.jpg", folder.path() / name);
  }
  fs::create_hard_link(folder.path() / "in/a.cls", folder.path() / "in/b.cls");
  fs::create_symlink("c/d.png", folder.path() / "in/e.jpeg");
  fs::create_symlink("nowhere", folder.path() / "in/f.jpg");
  tar(folder.path(), "--sort=name -cf x.tar -C in .");
  const auto files = open_source(folder.path() / "in");
  const TarSource source(folder.path() / "x.tar");
  ASSERT_EQ(source.size(), files->size());
  for (std::int64_t i = 0; i + 1 < source.size(); ++i) {
    EXPECT_EQ(source.read(i).name, "./" + files->read(i).name);
    EXPECT_EQ(text(source.read(i)), "a");
    EXPECT_EQ(source.read(i).label, i < 2 ? 3 : kNoLabel);
  }
  expect_error([&] { source.read(4); }, {"x.tar: ./f.jpg is a link to no file"});
  expect_error([&] { files->read(4); }, {"f.jpg: No such file"});
  fs::create_symlink("nowhere", folder.path() / "in/1.cls");
  tar(folder.path(), "-cf lost.tar -C in a.jpg 1.cls");
  expect_error([&] { TarSource(folder.path() / "lost.tar"); }, {"1.cls is a link to no file"});
}

TEST(TarSource, AFolderOfShardsIsOneSet) {
  const test::TemporaryFolder folder;
  for (const char* name : {"1.jpg", "2.jpg", "3.jpg"}) folder.write(name, std::string_view(name));
  tar(folder.path(), "-cf b.tar 1.jpg");
  tar(folder.path(), "-cf a.tar 3.jpg 2.jpg");
  fs::create_directory(folder.path() / "shards");
  for (const char* name : {"a.tar", "b.tar"})
    fs::rename(folder.path() / name, folder.path() / "shards" / name);
  const auto source = open_source(folder.path() / "shards");
  ASSERT_EQ(source->size(), 3);
  EXPECT_EQ(text(source->read(0)), "3.jpg");
  EXPECT_EQ(text(source->read(1)), "2.jpg");
  EXPECT_EQ(text(source->read(2)), "1.jpg");
}

// Stored without their holes, in each of GNU tar's four ways: their bytes are not those of the file.
TEST(TarSource, SparseFilesAreRefusedByName) {
  const test::TemporaryFolder folder;
  const std::string name = "in/hole.jpg";
  folder.write(name, std::string_view("start"));
  fs::resize_file(folder.path() / name, 1 << 20);
  folder.write("in/1.jpg", std::string_view("1"));
  for (const char* format : {"--format=gnu", "--format=pax --sparse-version=0.0",
                             "--format=pax --sparse-version=0.1", "--format=pax --sparse-version=1.0"}) {
    tar(folder.path(), std::string("--sparse ") + format + " -cf x.tar in/1.jpg " + name);
    ASSERT_LT(fs::file_size(folder.path() / "x.tar"), 1U << 20);
    expect_error([&] { TarSource(folder.path() / "x.tar"); },
                 {"x.tar: in/hole.jpg: sparse files are not supported"});
  }
}

// Cut at every 256th byte: no part of an archive passes for a whole one.
TEST(TarSource, ACutArchiveIsRefusedWhereverItWasCut) {
  const test::TemporaryFolder folder;
  folder.write("1.jpg", std::vector<std::uint8_t>(700, 1));
  folder.write("2.jpg", std::vector<std::uint8_t>(512, 2));
  tar(folder.path(), "-b 1 -cf whole.tar 1.jpg 2.jpg");
  const auto whole = read_file(folder.path() / "whole.tar");
  ASSERT_EQ(TarSource(folder.path() / "whole.tar").size(), 2);
  ASSERT_EQ(whole.size(), 7U * 512);
  for (std::size_t size = 0; size < whole.size(); size += 256) {
    write_bytes(folder.path() / "cut.tar", std::span(whole).first(size));
    expect_error([&] { TarSource(folder.path() / "cut.tar"); },
                 {"cut.tar: ", size == 0 ? "empty" : "cut off"});
  }
}

TEST(TarSource, DamageIsNamed) {
  const test::TemporaryFolder folder;
  folder.write("1.jpg", std::string_view("one"));
  folder.write("1.cls", std::string_view("cat"));
  tar(folder.path(), "-b 1 -cf good.tar 1.jpg");
  tar(folder.path(), "-cf label.tar 1.jpg 1.cls");
  tar(folder.path(), "-cf nothing.tar 1.cls");
  const auto refused = [&](const char* name, std::initializer_list<std::string_view> parts) {
    expect_error([&] { TarSource(folder.path() / name); }, parts);
  };
  refused("label.tar", {"label.tar: 1.cls holds 'cat'", "class number"});
  refused("none.tar", {"none.tar: no such archive"});
  auto bytes = read_file(folder.path() / "good.tar");
  bytes[0] ^= 1;
  write_bytes(folder.path() / "name.tar", bytes);
  refused("name.tar", {"name.tar: not a tar archive"});
  folder.write("text.tar", std::string(3000, 'x'));
  refused("text.tar", {"text.tar: not a tar archive"});
  fs::create_directory(folder.path() / "empty");
  refused("empty", {"empty: no .tar file"});
}

// A size field that a 64-bit number cannot hold, or that reaches far beyond the end, must not be believed.
TEST(TarIndex, SizesAreNotBelieved) {
  const auto header = [](const std::vector<std::uint8_t>& size) {
    std::vector<std::uint8_t> bytes(3 * 512);
    const std::string_view name = "1.jpg";
    std::ranges::copy(name, bytes.begin());
    std::ranges::copy(size, bytes.begin() + 124);
    std::fill_n(bytes.begin() + 148, 8, ' ');
    int sum = 0;
    for (int i = 0; i < 512; ++i) sum += bytes[static_cast<std::size_t>(i)];
    const std::string text = fmt::format("{:06o}", sum);
    std::ranges::copy(text, bytes.begin() + 148);
    bytes[154] = 0;
    return bytes;
  };
  const auto index = [&](const std::vector<std::uint8_t>& size) {
    const auto bytes = header(size);
    return index_tar(
        static_cast<std::int64_t>(bytes.size()),
        [&](std::int64_t offset, std::span<std::uint8_t> to) {
          std::copy_n(bytes.begin() + offset, to.size(), to.begin());
        },
        "x.tar");
  };
  EXPECT_EQ(index({'0', '0'}).size(), 1U);
  expect_error([&] { index({'7', '7', '7', '7', '7', '7', '7', '7', '7', '7', '7'}); },
               {"cut off, 1.jpg needs"});
  expect_error([&] { index({0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255}); },
               {"no size at byte 0"});
  expect_error([&] { index({0xff, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}); }, {"no size"});
  expect_error([&] { index({'9'}); }, {"no size"});
  expect_error([&] { index({'-', '1'}); }, {"no size"});
}

}  // namespace
}  // namespace dcl::data
