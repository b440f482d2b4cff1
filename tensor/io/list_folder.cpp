#include "tensor/io/list_folder.h"

#include <algorithm>

namespace dcl::tensor::io {

namespace fs = std::filesystem;

std::vector<fs::path> list_folder(const fs::path& folder, std::error_code& error) {
  std::vector<fs::path> paths;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    paths.push_back(entry->path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace dcl::tensor::io
