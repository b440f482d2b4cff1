// Lists of picture files. What holds: an entry is what its line says, paths can be opened, labels are on all
// lines or on none, and a list written from what was read reads the same.
#include <algorithm>
#include <sstream>

#include "data/file_lists.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

std::vector<Bytes> seeds() {
  return {bytes_of("a.jpg\nb/c d.png\r\n\n \té.jpg\n"),
          bytes_of("a.jpg 0\nb c.jpg\t 17\n\nd.jpg 9223372036854775807"), bytes_of("a.jpg -1\nb.jpg x\n"),
          bytes_of("a.jpg 1\nb.jpg\n"), bytes_of("\xEF\xBB\xBF a.jpg 1 \n\tb.jpg\t2 \r\n")};
}

namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view stripped(std::string_view line) {
  while (!line.empty() && kBlanks.find(line.front()) != std::string_view::npos) line.remove_prefix(1);
  while (!line.empty() && kBlanks.find(line.back()) != std::string_view::npos) line.remove_suffix(1);
  return line;
}

// Whether a line without blanks around is the entry's path and, where it has one, blanks and its label.
bool says(std::string_view line, const data::FileEntry& entry) {
  if (entry.label == data::kNoLabel) return line == entry.path;
  if (!line.starts_with(entry.path) || stripped(entry.path) != entry.path) return false;
  line.remove_prefix(entry.path.size());
  const std::size_t digits = line.find_first_not_of(kBlanks);
  if (digits == 0 || digits == std::string::npos) return false;
  line.remove_prefix(std::min(line.find_first_not_of('0', digits), line.size() - 1));
  return line == std::to_string(entry.label);
}

void check_lines(std::string text, const std::vector<data::FileEntry>& files) {
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  std::istringstream in(text);
  std::size_t at = 0;
  for (std::string line; std::getline(in, line);) {
    if (stripped(line).empty()) continue;
    hold(at < files.size() && says(stripped(line), files[at]), "an entry is what its line says");
    ++at;
  }
  hold(at == files.size(), "every entry has a line");
}

}  // namespace

void run(View input) {
  std::istringstream in(text_of(input));
  const auto files = data::parse_list(in, "list.txt");
  check_lines(text_of(input), files);
  std::string text(kByteOrderMark);  // a name may begin with another
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
