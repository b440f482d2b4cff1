#include "data/file_lists.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "data/coco_names.h"
#include "data/open_source.h"
#include "tests/ops/op_table.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

std::vector<std::string> names_of(const Source& source) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < source.size(); ++i) names.push_back(source.read(i).name);
  return names;
}

TEST(FileLists, FindsPicturesAtAnyDepthInBytewiseOrder) {
  const test::TemporaryFolder folder;
  for (const char* name : {"b/2.png", "b.jpg", "b/1.JPEG", "a/x/y.jpeg", "B.JPG", "a/notes.txt", "c.gif",
                           "jpg", "\xC3\xA9.png", "z.jpg.bak"})
    folder.write(name, std::string_view(name));
  fs::create_directories(folder.path() / "folder.jpg/empty");
  const auto opened = open_folder(folder.path());
  const Source& source = *opened;
  EXPECT_EQ(names_of(source), (std::vector<std::string>{"B.JPG", "a/x/y.jpeg", "b.jpg", "b/1.JPEG", "b/2.png",
                                                        "\xC3\xA9.png"}));  // '.' is before '/'
  const auto bytes = source.read(1).bytes;
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "a/x/y.jpeg");
  EXPECT_EQ(source.name(), folder.path().string());
  expect_error([&] { source.read(6); }, {"sample 6 of 6"});
  expect_error([&] { source.read(-1); }, {"sample -1 of 6"});
}

TEST(FileLists, FollowsLinksAndSurvivesLoops) {
  const test::TemporaryFolder folder;
  const test::TemporaryFolder elsewhere;
  elsewhere.write("far.jpg", std::string_view("far"));
  folder.write("a/near.jpg", std::string_view("near"));
  fs::create_directory_symlink(folder.path(), folder.path() / "a/loop");
  fs::create_directory_symlink(elsewhere.path(), folder.path() / "link");
  fs::create_symlink(elsewhere.path() / "far.jpg", folder.path() / "file.png");
  EXPECT_EQ(names_of(*open_folder(folder.path())),
            (std::vector<std::string>{"a/near.jpg", "file.png", "link/far.jpg"}));
}

// Links to nowhere and to themselves are pictures that cannot be read.
TEST(FileLists, CountsBrokenLinks) {
  const test::TemporaryFolder folder;
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "broken.jpg");
  fs::create_symlink("self.jpg", folder.path() / "self.jpg");
  fs::create_symlink("nowhere", folder.path() / "notes.txt");
  const auto source = open_folder(folder.path());
  ASSERT_EQ(source->size(), 2);
  expect_error([&] { source->read(0); }, {"broken.jpg: No such file or directory"});
  expect_error([&] { source->read(1); }, {"self.jpg: Too many levels of symbolic links"});
}

// Which of two ways to the same folder counts must not depend on the order of the directory's entries.
TEST(FileLists, TakesTheFirstOfTwoWaysToAFolder) {
  for (const char* link : {"a", "z"}) {
    const test::TemporaryFolder folder;
    folder.write("m/1.jpg", std::string_view("1"));
    fs::create_directory_symlink(folder.path() / "m", folder.path() / link);
    const std::string first = std::min<std::string>(link, "m");
    EXPECT_EQ(names_of(*open_folder(folder.path())), std::vector<std::string>{first + "/1.jpg"});
  }
}

TEST(FileLists, SaysWhatIsWrongWithTheFolder) {
  const test::TemporaryFolder folder;
  folder.write("a/notes.txt", std::string_view("text"));
  expect_error([&] { open_folder(folder.path() / "b"); }, {"/b: no such folder"});
  expect_error([&] { open_folder(folder.path() / "a/notes.txt"); }, {"notes.txt: not a folder"});
  expect_error([&] { open_folder(folder.path()); }, {folder.path().string() + ": no picture in this folder"});
}

TEST(FileLists, AFileThatWentAwayIsAnError) {
  const test::TemporaryFolder folder;
  folder.write("1.jpg", std::string_view("1"));
  folder.write("2.jpg", std::string_view("2"));
  const auto opened = open_folder(folder.path());
  const Source& source = *opened;
  fs::remove(folder.path() / "1.jpg");
  fs::remove(folder.path() / "2.jpg");
  fs::create_directory(folder.path() / "2.jpg");
  expect_error([&] { source.read(0); }, {"1.jpg: No such file or directory"});
  expect_error([&] { source.read(1); }, {"2.jpg: "});
}

std::vector<std::int64_t> labels_of(const Source& source) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < source.size(); ++i) labels.push_back(source.read(i).label);
  return labels;
}

using Names = std::vector<std::string>;
using Labels = std::vector<std::int64_t>;

TEST(FileLists, AListKeepsItsOrderAndItsLabels) {
  const test::TemporaryFolder folder;
  for (const char* name : {"b 1.jpg", "a/2.jpg", "other/b 1.jpg"}) folder.write(name, std::string_view(name));
  folder.write("plain.txt", std::string_view("b 1.jpg\r\n\na/2.jpg\r\n"));
  folder.write("labels.txt", std::string_view("b 1.jpg 7\na/2.jpg\t 0"));
  const auto plain = open_list(folder.path() / "plain.txt", {});
  EXPECT_EQ(names_of(*plain), (Names{"b 1.jpg", "a/2.jpg"}));
  EXPECT_EQ(labels_of(*plain), (Labels{kNoLabel, kNoLabel}));
  EXPECT_EQ(plain->name(), (folder.path() / "plain.txt").string());
  const auto labelled = open_list(folder.path() / "labels.txt", {});
  EXPECT_EQ(names_of(*labelled), (Names{"b 1.jpg", "a/2.jpg"}));
  EXPECT_EQ(labels_of(*labelled), (Labels{7, 0}));
  std::istringstream text("a -1\nb -0\n");
  const auto entries = parse_list(text, "names.txt");  // a label is digits: the rest is the name's
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].path, "a -1");
  EXPECT_EQ(entries[1].path, "b -0");
  const auto elsewhere = open_list(folder.path() / "plain.txt", folder.path() / "other");
  const auto bytes = elsewhere->read(0).bytes;
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "other/b 1.jpg");
  expect_error([&] { elsewhere->read(1); }, {"other/a/2.jpg: No such file"});
}

TEST(FileLists, AListThatIsBrokenNamesItsLine) {
  const test::TemporaryFolder folder;
  const auto refused = [&](std::string_view text, std::string_view line, std::string_view reason) {
    folder.write("list.txt", text);
    expect_error([&] { open_list(folder.path() / "list.txt", {}); }, {"list.txt", line, reason});
  };
  refused("a.jpg 1\nb.jpg\n", "line 2", "no label, those before have one");
  refused("a.jpg\n\nb.jpg 3\n", "line 3", "a label, those before have none");
  refused("a.jpg 1\n 3\n", "line 2", "no label, those before have one");
  refused(std::string_view("a.jpg\nb\0.jpg\n", 13), "line 2", "is no text");
  refused("\xEF\xBB\xBF\n \t\r\n", "", "lists no picture");
  expect_error([&] { open_list(folder.path(), {}); }, {"is a folder, expected a list"});
  expect_error([&] { open_list(folder.path() / "none.txt", {}); },
               {"none.txt: No such file or directory, expected a list"});
}

// As OpenSelfSup's strip(), which the authors' lists went through.
TEST(FileLists, BlanksAroundALineAndAMarkBeforeItDoNotCount) {
  const auto parsed = [](const std::string& text) {
    std::istringstream in(text);
    std::vector<std::pair<std::string, std::int64_t>> entries;
    for (auto& entry : parse_list(in, "list.txt")) entries.emplace_back(std::move(entry.path), entry.label);
    return entries;
  };
  using Entries = decltype(parsed(""));
  EXPECT_EQ(parsed("a.jpg 1\nb.jpg 2 \n\tc d.jpg \t3\t\r\n \r\n e.jpg 4"),
            (Entries{{"a.jpg", 1}, {"b.jpg", 2}, {"c d.jpg", 3}, {"e.jpg", 4}}));
  EXPECT_EQ(parsed("a.jpg \n b.jpg\t\r\r\n3 \n"),
            (Entries{{"a.jpg", kNoLabel}, {"b.jpg", kNoLabel}, {"3", kNoLabel}}));
  EXPECT_EQ(parsed("\xEF\xBB\xBF a.jpg 7 \nb.jpg 8\n"), (Entries{{"a.jpg", 7}, {"b.jpg", 8}}));
  EXPECT_EQ(parsed("a.jpg\n\xEF\xBB\xBF.jpg\n"),  // in the middle of a file it is part of a name
            (Entries{{"a.jpg", kNoLabel}, {"\xEF\xBB\xBF.jpg", kNoLabel}}));
}

TEST(FileLists, CocoIsOrderedByItsFileNames) {
  const test::TemporaryFolder folder;
  for (const char* name : {"train2017/2.jpg", "train2017/1.jpg", "train2017/unlisted.jpg", "val2017/9.jpg"})
    folder.write(name, std::string_view(name));
  folder.write("annotations/instances_train2017.json",
               std::string_view(R"({"info": {"images": [{"file_name": "no.jpg"}]}, "images": [
    {"id": 2, "file_name": "2.jpg", "extra": {"file_name": "no.jpg"}}, {"file_name": "1.jpg", "tags": ["x", []]},
    {"file_name": "missing.jpg"}], "annotations": [{"images": 3, "file_name": "no.jpg"}]})"));
  const auto train = open_coco(folder.path(), "");
  EXPECT_EQ(train->size(), 3);
  EXPECT_EQ(train->read(0).name, "1.jpg");
  EXPECT_EQ(train->read(1).name, "2.jpg");
  expect_error([&] { train->read(2); }, {"missing.jpg: No such file"});
  EXPECT_EQ(names_of(*open_coco(folder.path(), "val2017")), Names{"9.jpg"});  // without annotations
  expect_error([&] { open_coco(folder.path(), "test2017"); },
               {"no split test2017", "it has train2017, val2017"});
  fs::remove_all(folder.path() / "train2017");
  EXPECT_EQ(open_coco(folder.path(), "")->size(), 1);
  fs::create_directories(folder.path() / "test2015");
  expect_error([&] { open_coco(folder.path(), ""); }, {"test2015, val2017", "--split"});
}

// None of these is a set without annotations: somebody meant them to be there.
TEST(FileLists, AnnotationsThatCannotBeReadAreRefusedByName) {
  const test::TemporaryFolder folder;
  for (const char* name : {"train2017/1.jpg", "val2017/1.jpg"}) folder.write(name, std::string_view("1"));
  const fs::path annotations = folder.path() / "annotations/instances_train2017.json";
  const auto refused = [&](std::string_view name, std::string_view reason) {
    expect_error([&] { open_coco(folder.path(), "train2017"); }, {folder.path().string(), name, reason});
  };
  fs::create_directories(annotations);
  refused("annotations/instances_train2017.json: ", "is a folder, expected COCO's annotations");
  fs::remove(annotations);
  fs::create_symlink("nowhere.json", annotations);
  refused("annotations/instances_train2017.json: ", "a link that leads nowhere");
  EXPECT_EQ(open_coco(folder.path(), "val2017")->size(), 1);  // which has none
  fs::remove(annotations);
  fs::create_symlink(annotations.filename(), annotations);
  refused("annotations/instances_train2017.json: ", "Too many levels of symbolic links");
  fs::remove(annotations);
  fs::create_symlink("/proc/self/mem", annotations);  // opens, and has nothing at its start
  refused("annotations/instances_train2017.json: ", "");
  fs::remove_all(folder.path() / "annotations");
  fs::create_directory_symlink(folder.path() / "unmounted", folder.path() / "annotations");
  refused("/annotations: ", "a link that leads nowhere");
  expect_error([&] { read_coco_names(folder.path() / "none.json"); },
               {"none.json: No such file or directory, expected COCO's annotations"});
}

TEST(FileLists, BrokenCocoAnnotationsAreRefused) {
  const auto refused = [](const std::string& text, std::string_view reason) {
    std::istringstream in(text);
    expect_error([&] { parse_coco_names(in, "x.json"); }, {"x.json: ", reason});
  };
  refused("", "not JSON, broken at byte");
  refused(R"({"images": [{"file_name": "1.jpg"})", "not JSON, broken at byte");
  refused(R"({"annotations": []})", "no \"images\"");
  refused(R"([{"images": []}])", "no \"images\"");
  refused(R"({"images": [{"file_name": "1.jpg"}, {"id": 2}]})", "picture 1 has no file_name");
  refused(R"({"images": [{"file_name": "1.jpg"}, 1, {"file_name": "2.jpg"}]})", "picture 1 is no object");
  refused(R"({"images": [[{"file_name": "1.jpg"}]]})", "picture 0 is no object");
  refused(R"({"images": {"file_name": "1.jpg"}})", "\"images\" is no array");
  refused(R"({"images": null})", "\"images\" is no array");
  refused(R"({"images": [], "images": [{"file_name": "1.jpg"}]})", "has \"images\" twice");
  refused(R"({"images": [{"file_name": ""}]})", "picture 0 has no usable file_name");
  refused(R"({"images": [{"file_name": ["1.jpg"]}]})", "picture 0 has a file_name that is no string");
  for (const char* second : {R"("2.jpg")", "[]", "null", "1"})
    refused(fmt::format(R"({{"images": [{{"file_name": "1.jpg", "file_name": {}}}]}})", second),
            "picture 0 has two");
  std::istringstream empty(R"({"images": []})");
  EXPECT_TRUE(parse_coco_names(empty, "x.json").empty());
}

TEST(FileLists, ClassFoldersAreNumberedByName) {
  const test::TemporaryFolder folder;
  for (const char* name : {"n02/a.JPEG", "n01/x/b.jpg", "n01/a.jpg", "n10/empty.txt", "readme.png"})
    folder.write(name, std::string_view(name));
  const auto source = open_class_folders(folder.path());
  EXPECT_EQ(names_of(*source), (Names{"n01/a.jpg", "n01/x/b.jpg", "n02/a.JPEG"}));
  EXPECT_EQ(labels_of(*source), (Labels{0, 0, 1}));
  expect_error([&] { open_class_folders(folder.path() / "n10"); }, {"no class folder with a picture"});
}

TEST(FileLists, VocFollowsItsSplits) {
  const test::TemporaryFolder folder;
  for (const char* name :
       {"JPEGImages/1.jpg", "JPEGImages/2.png", "JPEGImages/3.jpg", "SegmentationClass/1.png"})
    folder.write(name, std::string_view(name));
  folder.write("ImageSets/Main/train.txt", std::string_view("3 -1\n \r\n 1  1 \r\n"));
  folder.write("ImageSets/Segmentation/val.txt", std::string_view("2\n"));
  EXPECT_EQ(names_of(*open_voc(folder.path(), "")), (Names{"1.jpg", "2.png", "3.jpg"}));
  EXPECT_EQ(names_of(*open_voc(folder.path(), "train")), (Names{"3.jpg", "1.jpg"}));
  EXPECT_EQ(names_of(*open_voc(folder.path(), "val")), Names{"2.png"});
  expect_error([&] { open_voc(folder.path(), "test"); }, {"no split test"});
  fs::create_symlink("nowhere.txt", folder.path() / "ImageSets/Main/val.txt");  // not Segmentation's instead
  expect_error([&] { open_voc(folder.path(), "val"); },
               {"ImageSets/Main/val.txt: a link that leads nowhere"});
}

TEST(OpenSource, TellsTheKindByLooking) {
  const test::TemporaryFolder folder;
  for (const char* name : {"folder/a/1.jpg", "list.txt", "voc/JPEGImages/1.jpg", "coco/train2017/1.jpg",
                           "annotated/annotations/x.json", "shards/1.tar", "pictures/1.jpg",
                           "pictures/a/1.tar", "packed/1.jpg", "packed/2.tar", "base/data.mdb", "base.lmdb"})
    folder.write(name, std::string_view("1.jpg"));
  const auto kind = [&](const char* name) { return detect_format(folder.path() / name); };
  EXPECT_EQ(kind("folder"), "folder");
  EXPECT_EQ(kind("list.txt"), "list");
  EXPECT_EQ(kind("voc"), "voc");
  EXPECT_EQ(kind("coco"), "coco");
  EXPECT_EQ(kind("coco/train2017"), "folder");
  EXPECT_EQ(kind("annotated"), "coco");
  EXPECT_EQ(kind("shards"), "tar");
  EXPECT_EQ(kind("shards/1.tar"), "tar");
  EXPECT_EQ(kind("pictures"), "folder");
  EXPECT_EQ(kind("packed"), "folder");
  EXPECT_EQ(kind("base"), "lmdb");
  EXPECT_EQ(kind("base.lmdb"), "lmdb");
}

TEST(OpenSource, RefusesWhatHasNoUse) {
  const test::TemporaryFolder folder;
  folder.write("a/1.jpg", std::string_view("1"));
  const auto refused = [&](const char* name, const SourceOptions& options,
                           std::initializer_list<std::string_view> parts) {
    expect_error([&] { open_source(folder.path() / name, options); }, parts);
  };
  refused("a", {.format = "zip"}, {"data format 'zip' is unknown", "imagenet, lmdb, tar"});
  refused("b", {}, {"b: no such file or folder"});
  refused("a", {.split = "train2017"}, {"split train2017", "format folder has none"});
  refused("a", {.root = "/"}, {"root / given", "format folder"});
  refused("a/1.jpg", {}, {"1.jpg: is one picture"});
}

}  // namespace
}  // namespace dcl::data
