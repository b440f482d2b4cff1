// The pages quote the code as it is. A block of C++ in README.md or docs/ names its file in the fence,
//
//     ```cpp file=autograd/engine.cpp
//
// and its lines stand one after the other in that file, indented as there or all of them less. Blocks that
// quote nothing (a sketch, a command) have another language or none. Links to files of the tree lead
// somewhere.
#include <regex>

#include <gtest/gtest.h>

#include "tests/house/source_tree.h"

namespace dcl::test {
namespace {

using Lines = std::vector<std::string>;

struct Quote {
  std::size_t line = 0;  // of the fence, from 1
  std::string file;      // empty: not named
  Lines lines;
};

std::vector<Quote> quotes_of(const Lines& page) {
  std::vector<Quote> quotes;
  static const std::regex fence(R"(\s*```\s*(cpp|c\+\+)\b\s*(?:file=(\S+))?.*)");
  for (std::size_t i = 0; i < page.size(); ++i) {
    std::smatch match;
    if (!std::regex_match(page[i], match, fence)) continue;
    Quote quote{i + 1, match[2], {}};
    for (++i; i < page.size() && page[i].find("```") == std::string::npos; ++i)
      quote.lines.push_back(page[i]);
    quotes.push_back(std::move(quote));
  }
  return quotes;
}

// Without the indentation that all lines have in common, and without spaces at the ends.
Lines dedented(Lines lines) {
  std::size_t indent = std::string::npos;
  for (auto& line : lines) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) indent = std::min(indent, line.find_first_not_of(' '));
  }
  for (auto& line : lines)
    if (!line.empty()) line.erase(0, indent);
  return lines;
}

bool stands_in(const Lines& quote, const Lines& file) {
  if (quote.empty()) return false;
  const Lines wanted = dedented(quote);
  for (std::size_t i = 0; i + quote.size() <= file.size(); ++i) {
    const auto begin = file.begin() + static_cast<std::ptrdiff_t>(i);
    if (dedented({begin, begin + static_cast<std::ptrdiff_t>(quote.size())}) == wanted) return true;
  }
  return false;
}

Lines pages() {
  Lines all = files_under("docs", {".md"});
  all.emplace_back("README.md");
  return all;
}

TEST(Docs, QuotedCodeStandsInTheTree) {
  for (const auto& page : pages()) {
    for (const auto& quote : quotes_of(lines_of(read_text(kRoot / page)))) {
      const std::string where = page + ":" + std::to_string(quote.line);
      if (quote.file.empty())
        ADD_FAILURE() << where << ": a block of C++ without file=";
      else
        EXPECT_TRUE(stands_in(quote.lines, lines_of(read_text(kRoot / quote.file))))
            << where << ": these lines are not in " << quote.file;
    }
  }
}

TEST(Docs, TheReadingTourQuotesCode) {
  EXPECT_GE(quotes_of(lines_of(read_text(kRoot / "docs/reading.md"))).size(), 10U);
}

TEST(Docs, LinksLeadSomewhere) {
  static const std::regex link(R"(\]\(([^)#\s]+)(?:#[^)]*)?\))");
  for (const auto& page : pages()) {
    const std::string text = read_text(kRoot / page);
    for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
      const std::string target = (*it)[1];
      if (target.find("://") != std::string::npos) continue;
      EXPECT_TRUE(std::filesystem::exists((kRoot / page).parent_path() / target)) << page << ": " << target;
    }
  }
}

// The rules themselves: each must be able to fail.
TEST(Docs, AStaleQuoteIsSeen) {
  const Lines file{"int f() {", "  if (x) {", "    y();", "", "    z();", "  }", "}"};
  EXPECT_TRUE(stands_in({"  if (x) {", "    y();"}, file));
  EXPECT_TRUE(stands_in({"y();", "", "z();"}, file));
  EXPECT_FALSE(stands_in({"y();", "z();"}, file));
  EXPECT_FALSE(stands_in({"if (x) {", "y();"}, file));
  EXPECT_FALSE(stands_in({"y(1);"}, file));
  EXPECT_FALSE(stands_in({}, file));

  const auto quotes =
      quotes_of({"text", "```cpp file=a/b.cpp", "x;", "```", "```sh", "ls", "```", "```cpp", "```"});
  ASSERT_EQ(quotes.size(), 2U);
  EXPECT_EQ(quotes[0].file, "a/b.cpp");
  EXPECT_EQ(quotes[0].lines, Lines{"x;"});
  EXPECT_EQ(quotes[1].file, "");
}

}  // namespace
}  // namespace dcl::test
