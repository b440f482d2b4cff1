// Databases of densecl_pack with any values in them; LMDB's own pages are whole (the library trusts them).
// What holds: a database that opens has the size that it states, every picture comes out as it was put in,
// and names and labels are those of __meta__.
//
// The input: "__len__" up to the first line's end, "__meta__" up to the second's, then a picture a line.
#include <algorithm>
#include <filesystem>

#include <lmdb.h>
#include <nlohmann/json.hpp>

#include "data/lmdb_source.h"
#include "tensor/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/pictures.h"

namespace dcl::fuzz {

using nlohmann::json;

std::vector<Bytes> seeds() {
  return {
      bytes_of(
          "2\n{\"names\": [\"a.jpg\", \"\\u00e9.png\"], \"labels\": [4, -1], \"source\": \"x\"}\nzero\none"),
      bytes_of("1\n{}\n"),
      bytes_of("1\n{\"labels\": [1.5]}\na"),
      bytes_of("1\n{\"labels\": [1e300]}\na"),
      bytes_of("1\n{\"names\": null, \"labels\": [18446744073709551615]}\na"),
      bytes_of("9\n[]\na\nb")};
}

namespace {

std::string take_line(std::string& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string line = text.substr(0, end);
  text.erase(0, end + 1);
  return line;
}

void put(MDB_txn* transaction, MDB_dbi table, std::string key, std::string value) {
  MDB_val k{key.size(), key.data()};
  MDB_val v{value.size(), value.data()};
  hold(mdb_put(transaction, table, &k, &v, 0) == 0, "LMDB takes a value");
}

void write_database(const std::string& path, const std::string& length, const std::string& meta,
                    const std::vector<std::string>& pictures) {
  std::filesystem::remove(path);
  MDB_env* environment = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  hold(mdb_env_create(&environment) == 0 && mdb_env_set_mapsize(environment, std::size_t{1} << 26) == 0 &&
           mdb_env_open(environment, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600) == 0 &&
           mdb_txn_begin(environment, nullptr, 0, &transaction) == 0 &&
           mdb_dbi_open(transaction, nullptr, 0, &table) == 0,
       "LMDB makes a database");
  put(transaction, table, "__len__", length);
  put(transaction, table, "__meta__", meta);
  for (std::size_t i = 0; i < pictures.size(); ++i) put(transaction, table, std::to_string(i), pictures[i]);
  hold(mdb_txn_commit(transaction) == 0, "LMDB writes a database");
  mdb_env_close(environment);
}

}  // namespace

void run(View input) {
  static const test::TemporaryFolder folder;
  const std::string path = (folder.path() / "x.lmdb").string();
  std::string text = text_of(input);
  const std::string length = take_line(text);
  const std::string meta = take_line(text);
  std::vector<std::string> pictures;
  while (!text.empty() && pictures.size() < 16) pictures.push_back(take_line(text));
  write_database(path, length, meta, pictures);

  const data::LmdbSource source(path);
  hold(!length.empty() && length.find_first_not_of("-0123456789") == std::string::npos &&
           source.size() == std::stoll(length),
       "the size is the number in __len__");
  hold(source.meta() == meta, "__meta__ comes out as it was put in");
  const json tree = json::parse(meta);
  for (std::int64_t i = 0; i < std::min<std::int64_t>(source.size(), 16); ++i) {
    const auto at = static_cast<std::size_t>(i);
    try {
      const data::Sample sample = source.read(i);
      hold(at < pictures.size() && text_of(sample.bytes) == pictures[at],
           "a picture comes out as it was put in");
      if (tree.contains("names") && !tree["names"].is_null())
        hold(tree["names"][at] == sample.name, "the name is that of __meta__");
      if (tree.contains("labels") && !tree["labels"].is_null())
        hold(tree["labels"][at] == sample.label, "the label is that of __meta__");
    } catch (const Error&) {
      hold(at >= pictures.size(), "only pictures that are missing are refused");
    }
  }
}

}  // namespace dcl::fuzz
