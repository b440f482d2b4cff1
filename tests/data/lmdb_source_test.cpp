// LMDB: the authors' databases against their manifest, and ones made here with LMDB itself.
#include "data/lmdb_source.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <lmdb.h>
#include <nlohmann/json.hpp>

#include "data/arrow_value.h"
#include "data/file_source.h"
#include "data/open_source.h"
#include "tests/ops/op_table.h"
#include "tests/support/augment_cases.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;

const fs::path kGolden = fs::path(DCL_SOURCE_DIR) / "tests/golden/lmdb";

std::string text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// Writes a database file.
void write_database(const fs::path& path, const std::map<std::string, std::string>& entries) {
  MDB_env* environment = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_mapsize(environment, std::size_t{1} << 26), 0);
  ASSERT_EQ(mdb_env_open(environment, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK, 0644), 0);
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, nullptr, 0, &table), 0);
  for (const auto& [name, contents] : entries) {
    std::string key = name;
    std::string value = contents;
    MDB_val k{key.size(), key.data()};
    MDB_val v{value.size(), value.data()};
    ASSERT_EQ(mdb_put(transaction, table, &k, &v, 0), 0);
  }
  ASSERT_EQ(mdb_txn_commit(transaction), 0);
  mdb_env_close(environment);
}

class AuthorsDatabase : public testing::TestWithParam<const char*> {};

TEST_P(AuthorsDatabase, GivesTheManifestsBytes) {
  const json manifest = json::parse(std::ifstream(kGolden / "manifest.json"));
  const auto source = open_source(kGolden / (std::string(GetParam()) + ".lmdb"));
  const bool labelled = std::string_view(GetParam()) == "imagenet";
  ASSERT_EQ(source->size(), std::ssize(manifest.at("files")));
  for (std::int64_t i = 0; i < source->size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Sample sample = source->read(i);
    EXPECT_EQ(test::sha256(sample.bytes), manifest.at("sha256").at(at).get<std::string>()) << i;
    EXPECT_EQ(sample.label, labelled ? manifest.at("labels").at(at).get<std::int64_t>() : kNoLabel) << i;
    EXPECT_NE(sample.name.find(std::to_string(i)), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Lmdb, AuthorsDatabase, testing::Values("coco", "imagenet"),
                         [](const auto& each) { return std::string(each.param); });

TEST(LmdbSource, ReadsOurOwnLayoutFromAFileAndFromAFolder) {
  const test::TemporaryFolder folder;
  write_database(
      folder.path() / "x.lmdb",
      {{"0", "zero"},
       {"1", ""},
       {"2", "two"},
       {"__len__", "3"},
       {"__meta__", R"({"names": ["a.jpg", "b.jpg", "c/d.jpg"], "labels": [4, -1, 0], "source": "x"})"}});
  fs::create_directory(folder.path() / "as_folder");
  fs::copy_file(folder.path() / "x.lmdb", folder.path() / "as_folder/data.mdb");
  for (const char* name : {"x.lmdb", "as_folder"}) {
    const auto source = open_source(folder.path() / name);
    ASSERT_EQ(source->size(), 3) << name;
    EXPECT_EQ(text(source->read(0).bytes), "zero");
    EXPECT_EQ(text(source->read(1).bytes), "");
    EXPECT_EQ(source->read(2).name, "c/d.jpg");
    EXPECT_EQ(source->read(0).label, 4);
    EXPECT_EQ(source->read(1).label, kNoLabel);
  }
  EXPECT_FALSE(fs::exists(folder.path() / "x.lmdb-lock"));
}

TEST(LmdbSource, SaysWhatIsMissing) {
  const test::TemporaryFolder folder;
  int number = 0;
  const auto made = [&](const std::map<std::string, std::string>& entries) {
    const fs::path path = folder.path() / (std::to_string(number++) + ".lmdb");
    write_database(path, entries);
    return path;
  };
  const LmdbSource holes(made({{"0", "a"}, {"2", "c"}, {"__len__", "3"}}));
  EXPECT_EQ(text(holes.read(2).bytes), "c");
  expect_error([&] { holes.read(1); }, {"key 1 is missing"});
  const auto refused = [&](const fs::path& path, std::initializer_list<std::string_view> parts) {
    expect_error([&] { LmdbSource source(path); }, parts);
  };
  refused(made({{"0", "a"}}), {"has no __len__"});
  refused(made({{"0", "a"}, {"__len__", "0"}}), {"holds no picture"});
  refused(made({{"0", "a"}, {"__len__", "one"}}), {"__len__: not a value as pyarrow wrote it"});
  refused(made({{"0", "a"}, {"__len__", "1"}, {"__meta__", "{"}}), {"__meta__ is not JSON"});
  refused(made({{"0", "a"}, {"__len__", "1"}, {"__meta__", R"({"names": []})"}}),
          {"has 0 names, expected 1"});
  refused(made({{"0", "a"}, {"__len__", "1"}, {"__meta__", R"({"labels": ["x"]})"}}), {"__meta__ is broken"});
  const std::string nested = std::string(200000, '[') + std::string(200000, ']');  // more than a stack takes
  for (const auto& [label, shown] : {std::pair<std::string, std::string>{"1.5", "1.5"},
                                     {"1e+300", "1e+300"},
                                     {"9223372036854775808", "9223372036854775808"},
                                     {"true", "boolean"},
                                     {nested, "array"}})
    refused(made({{"0", "a"}, {"__len__", "1"}, {"__meta__", fmt::format(R"({{"labels": [{}]}})", label)}}),
            {"__meta__ is broken: " + shown +
             " is no whole number from -9223372036854775808 to 9223372036854775807"});
  refused(made({{"0", "a"}, {"__len__", "1"}, {"__meta__", R"({"labels": {"a": 1}})"}}),
          {"__meta__ is broken: labels is no array"});
  refused(folder.path() / "none.lmdb", {"none.lmdb: No such file"});
  folder.write("text.lmdb", std::string(100000, 'x'));
  refused(folder.path() / "text.lmdb", {"text.lmdb: not an LMDB database"});
  folder.write("empty.lmdb", std::string_view(""));
  refused(folder.path() / "empty.lmdb", {"empty.lmdb: not an LMDB database"});
}

TEST(LmdbSource, ACutOffDatabaseIsRefused) {
  const test::TemporaryFolder folder;
  const auto whole = read_file(kGolden / "coco.lmdb");
  for (const std::size_t size :
       {whole.size() - 4096, whole.size() / 2, std::size_t{9000}, std::size_t{4096}}) {
    folder.write("cut.lmdb", std::span(whole).first(size));
    expect_error([&] { LmdbSource source(folder.path() / "cut.lmdb"); }, {"cut.lmdb: "});
  }
}

// The value of key "0", cut at every byte and with every byte changed: an Error or a value, nothing worse.
TEST(ArrowValue, DamageIsAnError) {
  MDB_env* environment = nullptr;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_open(environment, (kGolden / "imagenet.lmdb").c_str(),
                         MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY, 0),
            0);
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, nullptr, 0, &table), 0);
  std::string name = "__keys__";
  MDB_val key{name.size(), name.data()};
  MDB_val value{};
  ASSERT_EQ(mdb_get(transaction, table, &key, &value), 0);
  const auto* first = static_cast<const std::uint8_t*>(value.mv_data);
  const std::vector<std::uint8_t> whole(first, first + value.mv_size);
  mdb_txn_abort(transaction);
  mdb_env_close(environment);

  const ArrowValue parsed = parse_arrow_value(whole, "x");
  ASSERT_NE(parsed.list(), nullptr);
  ASSERT_EQ(parsed.list()->size(), 14U);
  const auto* last = parsed.list()->back().bytes();
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(std::string(last->begin(), last->end()), "13");
  for (std::size_t size = 0; size < whole.size() - 64; ++size)  // what is behind is padding
    expect_error([&] { parse_arrow_value(std::span(whole).first(size), "x"); }, {"x: not a value"});
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const std::uint8_t flip : std::array<std::uint8_t, 3>{1, 0x80, 0xff}) {
      auto broken = whole;
      broken[i] ^= flip;
      try {
        parse_arrow_value(broken, "x");
      } catch (const Error&) {
        ++refused;
      }
    }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace dcl::data
