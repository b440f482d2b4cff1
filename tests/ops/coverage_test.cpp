// Every differentiable op declared in autograd/ops.h has a row that checks its gradient. This reads the
// sources: each test may run in a process of its own, so what others have run cannot be seen.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace dcl::test {
namespace {

// The file without its // comments, so that a row that was commented out does not count.
std::string code_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string code;
  for (std::string line; std::getline(file, line);) code += line.substr(0, line.find("//")) + '\n';
  return code;
}

std::set<std::string> matches(const std::string& code, const std::regex& pattern) {
  std::set<std::string> names;
  for (std::sregex_iterator it(code.begin(), code.end(), pattern), end; it != end; ++it)
    names.insert((*it)[1]);
  return names;
}

std::set<std::string> declared_ops(const std::string& code) {
  return matches(code, std::regex(R"((?:^|\n)(?:Variable|InfoNce)\s+(\w+)\s*\()"));
}

std::set<std::string> checked_ops(const std::string& code) {
  return matches(code, std::regex(R"re(\brun_gradcheck\(\s*"(\w+)")re"));
}

std::set<std::string> missing(const std::set<std::string>& declared, const std::set<std::string>& checked) {
  std::set<std::string> names;
  std::set_difference(declared.begin(), declared.end(), checked.begin(), checked.end(),
                      std::inserter(names, names.end()));
  return names;
}

TEST(Coverage, EveryOpHasAGradientCheck) {
  const std::filesystem::path root = DCL_SOURCE_DIR;
  const auto declared = declared_ops(code_of(root / "autograd/ops.h"));
  ASSERT_GE(declared.size(), 28U) << "autograd/ops.h is not read as it is written";
  std::set<std::string> checked;
  for (const auto& entry : std::filesystem::directory_iterator(root / "tests/ops")) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with("_test.cpp") && file != "coverage_test.cpp")
      checked.merge(checked_ops(code_of(entry.path())));
  }
  for (const auto& name : missing(declared, checked))
    ADD_FAILURE() << "autograd/ops.h declares " << name << ", but no test in tests/ops calls run_gradcheck(\""
                  << name << "\", …)";
}

TEST(Coverage, AnOpWithoutARowIsFound) {
  const auto declared = declared_ops(
      "Variable add(const Variable& a);\n  Variable loss;\nInfoNce info_nce(const Variable& q,\n  double "
      "t);\n"
      "Variable fresh(\n    const Variable& x);\n");
  EXPECT_EQ(declared, (std::set<std::string>{"add", "info_nce", "fresh"}));
  const auto checked = checked_ops(
      "run_gradcheck(\"add\", row, f, {x});\n run_gradcheck(\n      \"info_nce\", row);"
      "run_float_check(\"fresh\", row);");
  EXPECT_EQ(missing(declared, checked), (std::set<std::string>{"fresh"}));
}

}  // namespace
}  // namespace dcl::test
