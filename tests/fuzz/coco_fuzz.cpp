// COCO's annotation files. What holds: names that are found are those that a parser of the whole text finds
// at ["images"][i]["file_name"], in that order.
#include <sstream>

#include <nlohmann/json.hpp>

#include "data/coco_names.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

using nlohmann::json;

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const std::string_view text :
       {R"({"images": [{"file_name": "1.jpg"}]})",
        R"({"info": {"images": [{"file_name": "no.jpg"}]}, "images": [{"id": 2, "file_name": "2.jpg",
            "extra": {"file_name": "no.jpg"}}, {"file_name": "\u00e9.jpg", "tags": ["x", [], null, true, -1.5e3]}],
            "annotations": [{"images": 3, "file_name": "no.jpg"}]})",
        R"({"images": []})", R"({"images": {"x": {"file_name": "a"}}})",
        R"({"images": ["a", {"file_name": 1}]})",
        R"({"images": [{"file_name": "3.jpg", "file_name": ["x"]}]})"})
    all.push_back(bytes_of(text));
  return all;
}

void run(View input) {
  const std::string text = text_of(input);
  std::istringstream in(text);
  const auto names = data::parse_coco_names(in, "x.json");
  const json tree = json::parse(text, nullptr, false);
  hold(tree.is_object() && tree.contains("images") && tree["images"].is_array(),
       "names come from a list of pictures");
  std::vector<std::string> expected;
  for (const auto& picture : tree["images"]) {
    hold(picture.is_object() && picture.contains("file_name") && picture["file_name"].is_string(),
         "every picture has a name");
    expected.push_back(picture["file_name"].get<std::string>());
    hold(!expected.back().empty() && expected.back().find('\0') == std::string::npos, "a name can be opened");
  }
  hold(names == expected, "the names are those that the tree holds");
}

}  // namespace dcl::fuzz
