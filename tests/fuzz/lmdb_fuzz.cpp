// Databases of densecl_pack with any values in them; LMDB's own pages are whole (the library trusts them).
// What holds: a database that opens has the size that it states, every picture comes out as it was put in,
// and names and labels are those of __meta__.
//
// The input: "__len__" up to the first line's end, "__meta__" up to the second's, then a picture a line.
#include <algorithm>

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

}  // namespace

void run(View input) {
  static const test::TemporaryFolder folder;
  const std::string path = (folder.path() / "x.lmdb").string();
  std::string text = text_of(input);
  const std::string length = take_line(text);
  const std::string meta = take_line(text);
  std::vector<std::string> pictures;
  std::vector<std::pair<std::string, std::string>> values = {{"__len__", length}, {"__meta__", meta}};
  while (!text.empty() && pictures.size() < 16) {
    pictures.push_back(take_line(text));
    values.emplace_back(std::to_string(pictures.size() - 1), pictures.back());
  }
  write_lmdb(path, values);

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
