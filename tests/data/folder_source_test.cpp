#include "data/folder_source.h"

#include <gtest/gtest.h>

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

TEST(FolderSource, FindsPicturesAtAnyDepthInBytewiseOrder) {
  const test::TemporaryFolder folder;
  for (const char* name : {"b/2.png", "b.jpg", "b/1.JPEG", "a/x/y.jpeg", "B.JPG", "a/notes.txt", "c.gif",
                           "jpg", "\xC3\xA9.png", "z.jpg.bak"})
    folder.write(name, std::string_view(name));
  fs::create_directories(folder.path() / "folder.jpg/empty");
  const FolderSource source(folder.path());
  EXPECT_EQ(names_of(source), (std::vector<std::string>{"B.JPG", "a/x/y.jpeg", "b.jpg", "b/1.JPEG", "b/2.png",
                                                        "\xC3\xA9.png"}));  // '.' is before '/'
  const auto bytes = source.read(1).bytes;
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "a/x/y.jpeg");
  EXPECT_EQ(source.name(), folder.path().string());
  expect_error([&] { source.read(6); }, {"sample 6 of 6"});
  expect_error([&] { source.read(-1); }, {"sample -1 of 6"});
}

TEST(FolderSource, FollowsLinksAndSurvivesLoops) {
  const test::TemporaryFolder folder;
  const test::TemporaryFolder elsewhere;
  elsewhere.write("far.jpg", std::string_view("far"));
  folder.write("a/near.jpg", std::string_view("near"));
  fs::create_directory_symlink(folder.path(), folder.path() / "a/loop");
  fs::create_directory_symlink(elsewhere.path(), folder.path() / "link");
  fs::create_symlink(elsewhere.path() / "far.jpg", folder.path() / "file.png");
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "broken.jpg");
  fs::create_symlink("self.jpg", folder.path() / "self.jpg");
  EXPECT_EQ(names_of(FolderSource(folder.path())),
            (std::vector<std::string>{"a/near.jpg", "file.png", "link/far.jpg"}));
}

// Which of two ways to the same folder counts must not depend on the order of the directory's entries.
TEST(FolderSource, TakesTheFirstOfTwoWaysToAFolder) {
  for (const char* link : {"a", "z"}) {
    const test::TemporaryFolder folder;
    folder.write("m/1.jpg", std::string_view("1"));
    fs::create_directory_symlink(folder.path() / "m", folder.path() / link);
    const std::string first = std::min<std::string>(link, "m");
    EXPECT_EQ(names_of(FolderSource(folder.path())), std::vector<std::string>{first + "/1.jpg"});
  }
}

TEST(FolderSource, SaysWhatIsWrongWithTheFolder) {
  const test::TemporaryFolder folder;
  folder.write("a/notes.txt", std::string_view("text"));
  expect_error([&] { FolderSource(folder.path() / "b"); }, {"/b: no such folder"});
  expect_error([&] { FolderSource(folder.path() / "a/notes.txt"); }, {"notes.txt: not a folder"});
  expect_error([&] { FolderSource source(folder.path()); },
               {folder.path().string() + ": no picture in this folder"});
}

TEST(FolderSource, AFileThatWentAwayIsAnError) {
  const test::TemporaryFolder folder;
  folder.write("1.jpg", std::string_view("1"));
  folder.write("2.jpg", std::string_view("2"));
  const FolderSource source(folder.path());
  fs::remove(folder.path() / "1.jpg");
  fs::remove(folder.path() / "2.jpg");
  fs::create_directory(folder.path() / "2.jpg");
  expect_error([&] { source.read(0); }, {"1.jpg: No such file or directory"});
  expect_error([&] { source.read(1); }, {"2.jpg: "});
}

}  // namespace
}  // namespace dcl::data
