// Small real training runs of the program, for the tests that kill, resume and starve it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/pictures.h"
#include "tests/support/run_program.h"

namespace dcl::test {

/// A folder with `photos/` (22 drawn JPEGs) to train on; 5 iterations of 4 pictures an epoch.
class TrainingPlace {
 public:
  TrainingPlace() {
    for (int i = 0; i < 22; ++i)
      folder_.write("photos/" + std::to_string(i) + ".jpg",
                    encode_jpeg(drawn_picture(48, 40, static_cast<std::uint64_t>(i))));
  }

  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }
  const TemporaryFolder& folder() const { return folder_; }

  /// Flags of a run of ResNet-18 at 32 px into folder `output`; `more` goes behind, so that it wins.
  std::vector<std::string> flags(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {path("photos").string(),
                                    "--output-dir",
                                    path(output).string(),
                                    "--arch",
                                    "resnet18",
                                    "--image-size",
                                    "32",
                                    "-b",
                                    "4",
                                    "--moco-k",
                                    "64",
                                    "--moco-dim",
                                    "16",
                                    "-j",
                                    "1",
                                    "--neck-hidden",
                                    "64",
                                    "--bn-groups",
                                    "2",
                                    "-p",
                                    "1",
                                    "--epochs",
                                    "2",
                                    "--threads",
                                    "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult train(const std::string& output, const std::vector<std::string>& more = {}) const {
    return run_program("densecl_train", flags(output, more));
  }

 private:
  TemporaryFolder folder_;
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Epoch, iteration, step, queue fill, top-1 and all losses of each line of metrics.jsonl, as text: what has
/// to be equal to the last bit.
inline std::vector<std::string> metrics_of(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  std::istringstream text(read_bytes(folder / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    std::erase(line, ' ');
    std::string kept;
    std::istringstream fields(line.substr(1, line.size() - 2));
    for (std::string field; std::getline(fields, field, ',');) {
      const auto is = [&](const char* key) { return field.find(key) != std::string::npos; };
      const bool measured =
          is("time") || is("memory") || is("eta_s") || is("pictures_per_s") || is("batches_ready");
      if (!measured) kept += field + ",";
    }
    lines.push_back(kept);
  }
  return lines;
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace dcl::test
