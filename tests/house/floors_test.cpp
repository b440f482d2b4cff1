// The house's floors: who may include whom, what a public header may show, and who may print or exit.
//
//     apps ──► densecl ──► nn ──► autograd ──► tensor
//                 │         optim ──► autograd
//                 ├──► optim
//                 ├──► data ──► tensor
//                 └──► distributed ──► tensor      (the gradient reducer also sees autograd)
#include <cctype>
#include <map>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "tests/house/source_tree.h"

namespace dcl::test {
namespace {

// What a folder's arrows reach, itself included.
const std::map<std::string, std::set<std::string>> kReaches = {
    {"tensor", {"tensor"}},
    {"autograd", {"autograd", "tensor"}},
    {"nn", {"nn", "autograd", "tensor"}},
    {"optim", {"optim", "autograd", "tensor"}},
    {"data", {"data", "tensor"}},
    {"distributed", {"distributed", "autograd", "tensor"}},
    {"densecl", {"densecl", "nn", "optim", "data", "distributed", "autograd", "tensor"}},
    {"apps", {"apps", "densecl", "nn", "optim", "data", "distributed", "autograd", "tensor"}},
};
const std::vector<std::string_view> kSources = {".h", ".cpp", ".cu", ".cuh"};
constexpr std::size_t kMostLines = 400;

// Where the comment or literal that begins at `i` ends; `i` when none does.
std::size_t end_of_text(const std::string& text, std::size_t i) {
  const auto after = [&](const std::string& what, std::size_t from) {
    const std::size_t found = text.find(what, from);
    return found == std::string::npos ? text.size() : found + what.size();
  };
  if (text.compare(i, 2, "//") == 0) return std::min(text.find('\n', i), text.size());
  if (text.compare(i, 2, "/*") == 0) return after("*/", i + 2);
  if (text.compare(i, 2, "R\"") == 0) {
    const std::size_t open = text.find('(', i);
    return after(")" + text.substr(i + 2, open - i - 2) + "\"", open);
  }
  const bool separator = i > 0 && std::isxdigit(static_cast<unsigned char>(text[i - 1])) != 0;  // 1'000
  if (text[i] != '"' && (text[i] != '\'' || separator)) return i;
  std::size_t end = i + 1;
  while (end < text.size() && text[end] != text[i]) end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

// The code without comments and literals.
std::string code_only(const std::string& text) {
  std::string code;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = end_of_text(text, i);
    code += end == i ? text[i] : ' ';
    i = std::max(end, i + 1);
  }
  return code;
}

// Those that are installed (cmake/DclInstall.cmake): what device code reads brings CUDA's own.
bool is_public(const std::string& file) {
  return file.ends_with(".h") && file.find("/cuda/") == std::string::npos;
}

// Each broken rule in a file of `folder`, in words; `header`: a public one.
std::vector<std::string> broken_rules(const std::string& folder, bool header, const std::string& text) {
  std::vector<std::string> broken;
  static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)");
  // Libraries are linked privately, so an installed header that includes one does not compile elsewhere.
  static const std::regex shown(R"([a-z_0-9]+|fmt/.*|sys/.*|unistd\.h)");
  for (const auto& line : lines_of(text)) {
    std::smatch match;
    if (!std::regex_match(line, match, include)) continue;
    const std::string path = match[2];
    const bool generated = folder == "apps" && path == "dcl_build_info.h";
    if (match[1] == "\"" && !generated && !kReaches.at(folder).contains(path.substr(0, path.find('/'))))
      broken.push_back("includes \"" + path + "\", which no arrow reaches");
    if (match[1] == "\"" && header && folder != "apps" && !is_public(path))
      broken.push_back("is installed and includes \"" + path + "\", which is not");
    if (match[1] == "<" && header && folder != "apps" && !std::regex_match(path, shown))
      broken.push_back("is a public header and includes <" + path + ">");
  }
  if (folder == "apps") return broken;
  static const std::regex forbidden(
      R"(\b(abort|exit|_exit|quick_exit|terminate|printf|fprintf|puts|fputs|putchar|perror|assert)\s*\(|\bstd::(cout|cerr|clog)\b|\bfmt::print\b)");
  const std::string code = code_only(text);
  for (std::sregex_iterator it(code.begin(), code.end(), forbidden), end; it != end; ++it)
    broken.push_back("prints or exits: " + it->str());
  static const std::regex directives(R"(#([^\\\n]|\\[^\n]|\\\n)*)");
  static const std::regex anything(R"(\S)");
  if (!std::regex_search(std::regex_replace(code, directives, ""), anything)) return broken;  // macros alone
  const bool root_namespace = folder == "tensor" && code.find("namespace dcl {") != std::string::npos;
  if (!root_namespace && code.find("namespace dcl::" + folder) == std::string::npos)
    broken.push_back("has nothing in namespace dcl::" + folder);
  return broken;
}

TEST(Floors, IncludesFollowTheArrows) {
  for (const auto& [folder, reaches] : kReaches) {
    const auto files = files_under(folder, kSources);
    EXPECT_FALSE(files.empty()) << folder;
    for (const auto& file : files)
      for (const auto& rule : broken_rules(folder, is_public(file), read_text(kRoot / file)))
        ADD_FAILURE() << file << " " << rule;
  }
}

TEST(Floors, FilesFitTheEye) {
  for (const std::string folder :
       {"tensor", "autograd", "nn", "optim", "data", "distributed", "densecl", "apps", "tests", "bench"})
    for (const auto& file : files_under(folder, kSources))
      EXPECT_LE(lines_of(read_text(kRoot / file)).size(), kMostLines) << file;
}

// The rules themselves: each must be able to fail.
TEST(Floors, ABrokenRuleIsSeen) {
  const auto broken = [](const std::string& folder, bool header, const std::string& text) {
    return broken_rules(folder, header, text + "\nnamespace dcl::" + folder + " {}\n").size();
  };
  EXPECT_EQ(broken("optim", false, "#include \"nn/layers.h\""), 1U);
  EXPECT_EQ(broken("tensor", false, "#include \"autograd/variable.h\""), 1U);
  EXPECT_EQ(broken("data", false, "  # include \"densecl/model.h\"  // because"), 1U);
  EXPECT_EQ(broken("nn", false, "#include \"layers.h\""), 1U);
  EXPECT_EQ(broken("tensor", true, "#include <Eigen/Core>"), 1U);
  EXPECT_EQ(broken("tensor", true, "#include <cblas.h>"), 1U);
  EXPECT_EQ(broken("densecl", true, "#include \"tensor/cuda/graph.h\""), 1U);
  EXPECT_EQ(broken("tensor", true, "#ifdef A\n#include \"tensor/ops/tiles.cuh\"\n#endif"), 1U);
  EXPECT_EQ(broken("nn", false, "void f() { std::exit(1); }"), 1U);
  EXPECT_EQ(broken("densecl", false, "void f() { std::cout << 1; }"), 1U);
  EXPECT_EQ(broken("data", false, "void f() { printf(\"x\"); }"), 1U);
  EXPECT_EQ(broken_rules("nn", false, "namespace dcl::tensor {}").size(), 1U);
  EXPECT_EQ(broken_rules("nn", true, "#define A \\\n  b\nint c;").size(), 1U);

  EXPECT_EQ(broken("densecl", false, "#include \"nn/layers.h\"\n#include <vector>"), 0U);
  EXPECT_EQ(broken("tensor", false, "#include <Eigen/Core>"), 0U);
  EXPECT_EQ(broken("tensor", false, "#include \"tensor/cuda/kernel.h\""), 0U);
  EXPECT_EQ(broken("data", true, "#include \"tensor/ops/cast.h\""), 0U);
  EXPECT_FALSE(is_public("tensor/cuda/kernel.h"));
  EXPECT_EQ(broken("tensor", true, "#include <vector>\n#include <fmt/core.h>"), 0U);
  EXPECT_EQ(broken("nn", false, "// exit(1)\nauto s = \"abort()\"; /* printf( */ int snprintf_(int);"), 0U);
  EXPECT_EQ(broken_rules("nn", true, "// macros\n#pragma once\n#define A \\\n  b\n").size(), 0U);
  EXPECT_EQ(broken("apps", false, "#include <iostream>\nvoid f() { std::cout << 1; }"), 0U);
}

}  // namespace
}  // namespace dcl::test
