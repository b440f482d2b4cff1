// Lists of picture files. What holds: paths can be opened, labels are on all lines or on none, and a list
// written from what was read reads the same.
#include <sstream>

#include "data/file_lists.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

std::vector<Bytes> seeds() {
  return {bytes_of("a.jpg\nb/c d.png\r\n\n \té.jpg\n"),
          bytes_of("a.jpg 0\nb c.jpg\t 17\n\nd.jpg 9223372036854775807"), bytes_of("a.jpg -1\nb.jpg x\n"),
          bytes_of("a.jpg 1\nb.jpg\n")};
}

void run(View input) {
  std::istringstream in(text_of(input));
  const auto files = data::parse_list(in, "list.txt");
  std::string text;
  for (const auto& file : files) {
    hold(!file.path.empty() && file.path.find_first_of(std::string_view("\0\n", 2)) == std::string::npos,
         "a path can be opened");
    hold(file.label == data::kNoLabel || file.label >= 0, "a label is a class");
    hold((file.label == data::kNoLabel) == (files.front().label == data::kNoLabel),
         "all lines or none have labels");
    text += file.path + (file.label == data::kNoLabel ? "" : " " + std::to_string(file.label)) + "\r\n";
  }
  std::istringstream written(text);
  const auto again = data::parse_list(written, "again.txt");
  hold(again.size() == files.size(), "a list that was written has as many lines");
  for (std::size_t i = 0; i < files.size(); ++i)
    hold(again[i].path == files[i].path && again[i].label == files[i].label,
         "a list that was written reads the same");
}

}  // namespace dcl::fuzz
