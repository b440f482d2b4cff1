// Tar archives as GNU tar writes them, in all its formats.
#include "data/tar_source.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

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

// The picture of every name, in every format that knows links.
TEST(TarSource, LinksAreTheFilesTheyLeadTo) {
  const test::TemporaryFolder folder;
  folder.write("in/a/1.jpg", std::string_view("one"));
  fs::create_directory(folder.path() / "in/b");
  const std::string far = std::string(120, 'd') + ".jpg";  // longer than a header's field
  const fs::path in = folder.path() / "in";
  for (const auto& name : {std::string("2.jpg"), far, std::string("z.jpg")})
    fs::create_hard_link(in / "a/1.jpg", in / name);
  fs::create_symlink("../3.jpg", in / "b/4.jpg");  // to a link
  fs::create_symlink("a/1.jpg", in / "3.jpg");
  fs::create_symlink("gone.jpg", in / "5.jpg");
  fs::create_symlink("6.jpg", in / "6.jpg");
  const std::map<std::string, std::string> expected = {
      {"a/1.jpg", "one"}, {"2.jpg", "one"},   {far, "one"},  {"z.jpg", "one"},
      {"3.jpg", "one"},   {"b/4.jpg", "one"}, {"5.jpg", ""}, {"6.jpg", ""}};
  for (const char* format : {"gnu", "pax"})
    // Whichever of the hard links comes first holds the bytes; the symbolic ones come before and behind.
    for (const auto& order : {far + " 2.jpg z.jpg b a 3.jpg", "b 3.jpg a z.jpg 2.jpg " + far}) {
      tar(in, fmt::format("--format={} -cf ../x.tar {} 5.jpg 6.jpg", format, order));
      const TarSource source(folder.path() / "x.tar");
      std::map<std::string, std::string> seen;
      for (std::int64_t i = 0; i < source.size(); ++i) seen[source.read(i).name] = text(source.read(i));
      EXPECT_EQ(seen, expected) << format << ", " << order;
    }
}

// Python's tarfile and GNU tar agree: the size in a folder's header is that of nothing.
TEST(TarSource, NothingFollowsAFoldersHeader) {
  const test::TemporaryFolder folder;
  folder.write("in/a/1.jpg", std::string_view("one"));
  folder.write("in/a/2.jpg", std::string_view("two"));
  tar(folder.path() / "in", "-b 1 -cf ../x.tar a");
  auto bytes = read_file(folder.path() / "x.tar");
  ASSERT_EQ(bytes[156], '5');
  // A size of two blocks, which is what the first file takes; the checksum rises by the digit.
  const std::string_view size = "00000002000";
  ASSERT_EQ(std::string_view(reinterpret_cast<const char*>(bytes.data()) + 124, 11), "00000000000");
  std::ranges::copy(size, bytes.begin() + 124);
  const auto sum = std::stoi(std::string(bytes.begin() + 148, bytes.begin() + 154), nullptr, 8);
  std::ranges::copy(fmt::format("{:06o}", sum + 2), bytes.begin() + 148);
  write_bytes(folder.path() / "x.tar", bytes);
  const TarSource source(folder.path() / "x.tar");
  ASSERT_EQ(source.size(), 2);
  EXPECT_EQ(text(source.read(0)) + text(source.read(1)), "onetwo");
}

TEST(TarSource, SparseFilesAreRefusedByName) {
  const test::TemporaryFolder folder;
  folder.write("hole.jpg", std::string_view("x"));
  fs::resize_file(folder.path() / "hole.jpg", 1 << 20);
  for (const char* format : {"gnu", "pax"}) {
    tar(folder.path(), fmt::format("--format={} --sparse -cf x.tar hole.jpg", format));
    expect_error([&] { TarSource(folder.path() / "x.tar"); }, {"x.tar: ", "hole.jpg is a sparse file"});
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
