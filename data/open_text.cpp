#include "data/open_text.h"

#include <cerrno>
#include <cstring>

#include "tensor/check.h"

namespace dcl::data {

namespace fs = std::filesystem;

std::ifstream open_text(const fs::path& path, std::string_view what) {
  std::error_code error;
  check(!fs::is_directory(path, error), "{}: is a folder, expected {}", path.string(), what);
  std::ifstream in(path, std::ios::binary);
  check(in.is_open(), "{}: {}, expected {}", path.string(), std::strerror(errno), what);
  return in;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) return true;
  check(status.type() == fs::file_type::not_found, "{}: {}", path.string(), error.message());
  for (const auto& link : {path.parent_path(), path})
    check(!fs::is_symlink(link, error) || fs::exists(link, error), "{}: a link that leads nowhere",
          link.string());
  return false;
}

}  // namespace dcl::data
