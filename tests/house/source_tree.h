// Reads the source tree for the tests of this folder.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dcl::test {

inline const std::filesystem::path kRoot = DCL_SOURCE_DIR;

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The files under `folder` (from the root) that have one of the extensions, sorted, as paths from the root.
inline std::vector<std::string> files_under(const std::string& folder,
                                            const std::vector<std::string_view>& extensions) {
  std::vector<std::string> files;
  if (!std::filesystem::exists(kRoot / folder)) return files;
  for (const auto& item : std::filesystem::recursive_directory_iterator(kRoot / folder)) {
    const std::string extension = item.path().extension().string();
    if (item.is_regular_file() &&
        std::find(extensions.begin(), extensions.end(), extension) != extensions.end())
      files.push_back(std::filesystem::relative(item.path(), kRoot).generic_string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace dcl::test
