// The list of what is packed, as it stands in containers. What holds: written and read again it is the same,
// and nothing in it was rounded to fit.
#include <nlohmann/json.hpp>

#include "data/pack/writer.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

std::vector<Bytes> seeds() {
  return {bytes_of(R"([])"), bytes_of(R"([["1.jpg",-1,0],["\u00e9 2.png",7,4294967295]])"),
          bytes_of(R"([["1.jpg",1.5,3]])"), bytes_of(R"([["1.jpg",1,-3]])"),
          bytes_of(R"({"a":["1.jpg",true,1e10]})")};
}

void run(View input) {
  const std::string text = text_of(input);
  const auto entries = data::parse_entries(text);
  const auto tree = nlohmann::json::parse(text);
  hold(tree.is_array() && tree.size() == entries.size(), "there are as many entries as in the text");
  for (std::size_t i = 0; i < entries.size(); ++i)
    hold(tree[i] == nlohmann::json::array({entries[i].name, entries[i].label, entries[i].crc}),
         "an entry is what the text says");
  const auto again = data::parse_entries(data::entries_text(entries));
  hold(again.size() == entries.size(), "entries that were written are as many");
  for (std::size_t i = 0; i < entries.size(); ++i)
    hold(again[i].name == entries[i].name && again[i].label == entries[i].label &&
             again[i].crc == entries[i].crc,
         "entries that were written read the same");
}

}  // namespace dcl::fuzz
