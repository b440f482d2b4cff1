// Every differentiable op declared in autograd/ops.h has a row that checks its gradient, and every op's CUDA
// kernels a test that holds them against the CPU's. This reads the sources: each test may run in a process of
// its own, so what others have run cannot be seen.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dcl::test {
namespace {

// The file without its // comments, so that a row that was commented out does not count.
std::string code_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string code = "\n";
  for (std::string line; std::getline(file, line);) code += line.substr(0, line.find("//")) + '\n';
  return code;
}

std::size_t skip_spaces(const std::string& code, std::size_t at) {
  return std::min(code.find_first_not_of(" \n", at), code.size());
}

std::size_t end_of_name(const std::string& code, std::size_t at) {
  while (at < code.size() && (std::isalnum(static_cast<unsigned char>(code[at])) != 0 || code[at] == '_'))
    ++at;
  return at;
}

// The names in declarations `Variable NAME(` and `InfoNce NAME(` that begin a line.
std::set<std::string> declared_ops(const std::string& code) {
  std::set<std::string> names;
  for (const std::string_view type : {"\nVariable ", "\nInfoNce "})
    for (auto at = code.find(type); at != std::string::npos; at = code.find(type, at + 1)) {
      const std::size_t begin = skip_spaces(code, at + type.size());
      const std::size_t end = end_of_name(code, begin);
      const std::size_t next = skip_spaces(code, end);
      if (end > begin && next < code.size() && code[next] == '(')
        names.insert(code.substr(begin, end - begin));
    }
  return names;
}

// The names in calls `run_gradcheck("NAME"`.
std::set<std::string> checked_ops(const std::string& code) {
  constexpr std::string_view call = "run_gradcheck(";
  std::set<std::string> names;
  for (auto at = code.find(call); at != std::string::npos; at = code.find(call, at + 1)) {
    const std::size_t quote = skip_spaces(code, at + call.size());
    if (quote >= code.size() || code[quote] != '"') continue;
    const std::size_t end = end_of_name(code, quote + 1);
    if (end < code.size() && code[end] == '"') names.insert(code.substr(quote + 1, end - quote - 1));
  }
  return names;
}

std::set<std::string> missing(const std::set<std::string>& declared, const std::set<std::string>& checked) {
  std::set<std::string> names;
  std::set_difference(declared.begin(), declared.end(), checked.begin(), checked.end(),
                      std::inserter(names, names.end()));
  return names;
}

// The names NAME of the files NAME`ending` in a folder.
std::set<std::string> names_in(const std::filesystem::path& folder, std::string_view ending) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(ending)) names.insert(file.substr(0, file.size() - ending.size()));
  }
  return names;
}

// The op that NAME_cuda.cu belongs to: of the headers' names the longest that NAME begins with, as info_nce
// for info_nce_attend; NAME itself when there is none.
std::string op_of(const std::string& kernels, const std::set<std::string>& headers) {
  for (std::size_t end = kernels.size(); end != std::string::npos && end > 0;
       end = kernels.rfind('_', end - 1))
    if (headers.contains(kernels.substr(0, end))) return kernels.substr(0, end);
  return kernels;
}

// The ops without a test of their CUDA kernels.
std::set<std::string> untested(const std::set<std::string>& kernels, const std::set<std::string>& headers,
                               const std::set<std::string>& tests) {
  std::set<std::string> ops;
  for (const auto& name : kernels) ops.insert(op_of(name, headers));
  return missing(ops, tests);
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
      "\nVariable add(const Variable& a);\n  Variable loss;\nInfoNce info_nce(const Variable& q,\n  double "
      "t);\n"
      "Variable fresh(\n    const Variable& x);\n");
  EXPECT_EQ(declared, (std::set<std::string>{"add", "info_nce", "fresh"}));
  const auto checked = checked_ops(
      "run_gradcheck(\"add\", row, f, {x});\n run_gradcheck(\n      \"info_nce\", row);"
      "run_float_check(\"fresh\", row);");
  EXPECT_EQ(missing(declared, checked), (std::set<std::string>{"fresh"}));
}

TEST(Coverage, EveryCudaKernelHasATest) {
  const std::filesystem::path root = DCL_SOURCE_DIR;
  const auto tests = names_in(root / "tests/cuda", "_test.cpp");
  std::size_t kernels_seen = 0;
  for (const std::string folder : {"tensor/ops", "data"}) {
    const auto kernels = names_in(root / folder, "_cuda.cu");
    kernels_seen += kernels.size();
    for (const auto& name : untested(kernels, names_in(root / folder, ".h"), tests))
      ADD_FAILURE() << folder << "/" << name << "_cuda.cu has no tests/cuda/" << name << "_test.cpp";
  }
  EXPECT_GE(kernels_seen, 25U) << "the kernels are not named as this test thinks";
}

TEST(Coverage, KernelsWithoutATestAreFound) {
  const std::set<std::string> headers{"pool", "pool_rows", "loss"};
  const std::set<std::string> kernels{"pool", "pool_tiles", "pool_rows", "loss_tensor_cores",
                                      "lost", "loss2"};
  EXPECT_EQ(untested(kernels, headers, {"pool"}),
            (std::set<std::string>{"pool_rows", "loss", "lost", "loss2"}));
  EXPECT_EQ(untested(kernels, headers, {"pool", "pool_rows", "loss", "lost", "loss2"}),
            (std::set<std::string>{}));
  EXPECT_EQ(untested({"pool_tiles"}, headers, {"pool_tiles"}), (std::set<std::string>{"pool"}));
}

}  // namespace
}  // namespace dcl::test
