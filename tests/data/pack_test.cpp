// Packing: what is read back is what the source gave, however often the packing was broken off.
#include "data/pack/pack.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "data/decode.h"
#include "data/open_source.h"
#include "data/pack/writer.h"
#include "data/resize.h"
#include "tensor/check.h"
#include "tests/ops/op_table.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

// Pictures of a few bytes, some with labels, some that cannot be read.
class Pictures final : public Source {
 public:
  explicit Pictures(std::int64_t size, std::int64_t bad_every = 0) : size_(size), bad_every_(bad_every) {}
  std::int64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }
  Sample read(std::int64_t index) const override {
    check(bad_every_ == 0 || index % bad_every_ != 1, "picture {}: away", index);
    Sample sample{"p/\"" + std::to_string(index) + "\xC3\xA9.jpg", {}, index % 5};
    for (std::int64_t i = 0; i < index % 1200; ++i)
      sample.bytes.push_back(static_cast<std::uint8_t>(index * 7 + i));
    return sample;
  }

 private:
  std::int64_t size_;
  std::int64_t bad_every_;
  std::string name_ = "pictures";
};

void expect_holds(const fs::path& container, const std::string& format, const Pictures& pictures,
                  std::int64_t bad_every = 0) {
  const auto source = open_source(container, {.format = format});
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < pictures.size(); ++i) {
    if (bad_every > 0 && i % bad_every == 1) continue;
    const Sample expected = pictures.read(i);
    ASSERT_LT(at, source->size());
    const Sample got = source->read(at++);
    EXPECT_EQ(got.bytes, expected.bytes) << i;
    EXPECT_EQ(got.label, expected.label) << i;
    if (format == "lmdb") {
      EXPECT_EQ(got.name, expected.name);
    }
  }
  EXPECT_EQ(source->size(), at);
}

// What a process killed while it writes a shard leaves of it.
void write_half_a_shard(const fs::path& path) {
  const test::TemporaryFolder folder;
  PackOptions options;
  options.to = "tar";
  pack(Pictures(60), folder.path() / "x.tar", options);
  fs::copy(folder.path() / "x.tar", path);
  fs::resize_file(path, 20'000);
}

// Another byte at the start of each run of bytes that picture 200, or a longer one, holds.
void spoil(const fs::path& path) {
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  file.read(bytes.data(), size);
  const Sample sample = Pictures(201).read(200);
  const std::string_view run(reinterpret_cast<const char*>(sample.bytes.data()), sample.bytes.size());
  std::size_t at = bytes.find(run);
  ASSERT_NE(at, std::string::npos);
  for (; at != std::string::npos; at = bytes.find(run, at + 1))
    file.seekp(static_cast<std::streamoff>(at)).put('\x01');
}

class Packing : public testing::TestWithParam<const char*> {
 protected:
  PackOptions options() const {
    PackOptions made;
    made.to = std::string_view(GetParam()) == "lmdb" ? "lmdb" : "tar";
    if (std::string_view(GetParam()) == "shards") made.shard_bytes = 300'000;
    return made;
  }
  fs::path container() const { return folder_.path() / (options().to == "lmdb" ? "x.lmdb" : "x.tar"); }

  test::TemporaryFolder folder_;
};

TEST_P(Packing, KeepsBytesOrderNamesAndLabels) {
  const Pictures pictures(700);
  const PackResult result = pack(pictures, container(), options());
  EXPECT_EQ(result.pictures, 700);
  EXPECT_EQ(result.skipped, 0);
  EXPECT_EQ(result.resumed, 0);
  expect_holds(container(), options().to, pictures);
  EXPECT_EQ(fs::is_directory(container()), options().shard_bytes > 0);
  EXPECT_FALSE(fs::exists(partial_path(container())));
  const PackResult again = pack(pictures, container(), options());  // nothing left to do but to verify
  EXPECT_EQ(again.resumed, 700);
  EXPECT_EQ(again.pictures, 700);
  expect_error([&] { pack(Pictures(699), container(), options()); }, {"is there already"});
}

TEST_P(Packing, LeavesOutWhatCannotBeRead) {
  std::vector<std::string> lines;
  PackOptions told = options();
  told.on_message = [&](const std::string& line) { lines.push_back(line); };
  const PackResult result = pack(Pictures(300, 100), container(), told);
  EXPECT_EQ(result.pictures, 297);
  EXPECT_EQ(result.skipped, 3);
  EXPECT_EQ(lines, (std::vector<std::string>{"picture 1: away: left out", "picture 101: away: left out",
                                             "picture 201: away: left out"}));
  expect_holds(container(), options().to, Pictures(300, 100), 100);
}

// Broken off after each append, with what a kill in the middle of the next would leave behind the last.
TEST_P(Packing, GoesOnWhereItWasBrokenOff) {
  const Pictures pictures(1100, 50);
  std::int64_t resumed = -1;
  for (int round = 0;; ++round) {
    ASSERT_LT(round, 10);
    PackOptions again = options();
    int asked = 0;
    again.should_stop = [&] { return ++asked > 1; };
    const PackResult result = pack(pictures, container(), again);
    EXPECT_GT(result.resumed, resumed);
    resumed = result.resumed;
    if (!result.stopped) {
      EXPECT_EQ(result.pictures, 1078);
      break;
    }
    EXPECT_FALSE(fs::exists(container()));
    if (again.to == "tar") {
      const fs::path folder = partial_path(container());
      int shards = -1;  // files but the journal
      for (const auto& entry : fs::directory_iterator(folder)) {
        std::ofstream(entry.path(), std::ios::app | std::ios::binary) << "{\"half a record";
        ++shards;
      }
      if (again.shard_bytes > 0) {  // each append is longer: the next begins a shard
        ASSERT_EQ(shards, round + 1);
        write_half_a_shard(folder / fmt::format("{:06}.tar", shards));
      }
    }
  }
  EXPECT_EQ(resumed, 1024);
  expect_holds(container(), options().to, pictures, 50);
}

TEST_P(Packing, BeginsAnewForAnotherJobOrDamage) {
  PackOptions stopped = options();
  int asked = 0;
  stopped.should_stop = [&] { return ++asked > 2; };
  EXPECT_TRUE(pack(Pictures(700), container(), stopped).stopped);
  const PackResult other = pack(Pictures(600), container(), options());
  EXPECT_EQ(other.resumed, 0);
  expect_holds(container(), options().to, Pictures(600));
}

// Bytes that turned bad after they were written, where no run can mend them.
TEST_P(Packing, SaysWhatToDeleteWhereItIsDamaged) {
  const Pictures pictures(700);
  const bool shards = options().shard_bytes > 0;
  PackOptions stopped = options();
  int asked = 0;
  stopped.should_stop = [&] { return ++asked > 2; };
  EXPECT_TRUE(pack(pictures, container(), stopped).stopped);
  const fs::path partial = partial_path(container());
  spoil(options().to == "tar" ? partial / "000000.tar" : partial);
  for (int run = 0; run < 2; ++run)
    expect_error([&] { pack(pictures, container(), options()); },
                 {"picture ", "is not what was written", "delete " + partial.string() + " to pack it anew"});
  fs::remove_all(partial);
  EXPECT_EQ(pack(pictures, container(), options()).resumed, 0);
  expect_holds(container(), options().to, pictures);
  spoil(shards ? container() / "000000.tar" : container());
  expect_error([&] { pack(pictures, container(), options()); },
               {"picture ", "delete " + container().string() + " to pack it anew"});
}

INSTANTIATE_TEST_SUITE_P(Pack, Packing, testing::Values("lmdb", "tar", "shards"),
                         [](const auto& each) { return std::string(each.param); });

// Numbers that no pack of ours has: neither wrapped nor cut to fit.
TEST(Pack, EntriesAreWhatTheirTextSays) {
  const auto entries = parse_entries(R"([["1.jpg",-1,0],["\u00e9 2.png",7,4294967295]])");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].label, kNoLabel);
  EXPECT_EQ(entries[1].name, "\xC3\xA9 2.png");
  EXPECT_EQ(entries[1].crc, 4294967295U);
  for (const char* text : {R"([["a",1.5,3]])", R"([["a",1,-3]])", R"([["a",1,4294967296]])",
                           R"([["a",1e300,3]])", R"([["a",true,3]])", R"([["a",1]])", R"([["a",1,2,3]])",
                           R"({"x":["a",1,2]})", R"([1])", R"([[1,1,1]])", "[", ""})
    expect_error([&] { parse_entries(text); }, {"the list of what is packed is broken: "});
  const std::string nested = std::string(200000, '[') + std::string(200000, ']');  // more than a stack takes
  expect_error([&] { parse_entries(fmt::format(R"([["a",{},3]])", nested)); },
               {"the list of what is packed is broken: array is no whole number"});
}

// A journal of this very job whose numbers make no sense.
TEST(Pack, AJournalWithoutSenseIsBegunAnew) {
  const Pictures pictures(3);
  for (const char* line : {R"({"shard":0,"bytes":-512,"next":2,"entries":"[]"})",
                           R"({"shard":-1,"bytes":0,"next":2,"entries":"[]"})",
                           R"({"shard":0,"bytes":0,"next":-2,"entries":"[]"})",
                           R"({"shard":0,"bytes":0,"next":0,"entries":"[[\"a\",1,2]]"})",
                           R"({"shard":0,"bytes":1.5,"next":2,"entries":"[]"})"}) {
    const test::TemporaryFolder folder;
    const fs::path container = folder.path() / "x.tar";
    PackOptions options;
    options.to = "tar";
    options.should_stop = [] { return true; };
    pack(pictures, container, options);  // makes the journal, and stops
    std::ofstream(partial_path(container) / "journal.jsonl", std::ios::app) << line << '\n';
    std::ofstream(partial_path(container) / "000000.tar", std::ios::app) << std::string(4096, 'x');
    options.should_stop = {};
    EXPECT_EQ(pack(pictures, container, options).resumed, 0) << line;
    expect_holds(container, "tar", pictures);
  }
}

TEST(Pack, ResizesTheShorterSideAndWritesJpeg) {
  const test::TemporaryFolder folder;
  const Image wide = test::drawn_picture(90, 60, 1);
  folder.write("in/a_wide.png", test::encode_png(wide));
  folder.write("in/b_small.jpg", test::encode_jpeg(test::drawn_picture(20, 30, 2)));
  const auto source = open_source(folder.path() / "in");
  PackOptions options;
  options.to = "tar";
  options.resize_short = 40;
  pack(*source, folder.path() / "x.tar", options);
  const auto packed = open_source(folder.path() / "x.tar");
  ASSERT_EQ(packed->size(), 2);
  const Sample first = packed->read(0);
  const Image made = decode(first.bytes, first.name);
  EXPECT_EQ(made.width, 60);
  EXPECT_EQ(made.height, 40);
  const Image exact = crop_resize(wide, {0, 0, 60, 90}, 60, 40);
  double difference = 0;
  for (std::size_t i = 0; i < exact.pixels.size(); ++i)
    difference += std::abs(static_cast<double>(exact.pixels[i]) - made.pixels[i]);
  EXPECT_LT(difference / static_cast<double>(exact.pixels.size()), 6);  // JPEG's loss, on noise
  EXPECT_EQ(packed->read(1).bytes, source->read(1).bytes);              // smaller already: as it was
  options.quality = 30;
  pack(*source, folder.path() / "y.tar", options);
  EXPECT_NE(open_source(folder.path() / "y.tar")->read(1).bytes, source->read(1).bytes);
}

TEST(Pack, ASetWithoutAReadablePictureLeavesNoContainer) {
  const test::TemporaryFolder folder;
  folder.write("list.txt", std::string_view("a.jpg\nb.jpg\n"));
  for (const char* to : {"lmdb", "tar"}) {
    PackOptions options;
    options.to = to;
    const fs::path container = folder.path() / (std::string("x.") + to);
    expect_error([&] { pack(*open_source(folder.path() / "list.txt"), container, options); },
                 {"none of its 2 pictures can be read"});
    EXPECT_FALSE(fs::exists(container));
  }
}

}  // namespace
}  // namespace dcl::data
