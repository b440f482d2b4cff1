#include "densecl/replace_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "tensor/io/file_descriptor.h"

namespace dcl::densecl {

namespace fs = std::filesystem;
using tensor::io::FileDescriptor;
using tensor::io::throw_system_error;

namespace {
constexpr std::string_view kTemporary = ".tmp";
}

fs::path temporary_for(const fs::path& file) {
  return file.parent_path() / fmt::format(".{}{}", file.filename().string(), kTemporary);
}

std::optional<fs::path> target_of_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with('.') || !name.ends_with(kTemporary)) return std::nullopt;
  if (name.size() <= 1 + kTemporary.size()) return std::nullopt;
  return path.parent_path() / name.substr(1, name.size() - 1 - kTemporary.size());
}

void sync_folder_of(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) throw_system_error(folder.string(), "cannot be opened");
  // Some file systems cannot sync a folder and say so with EINVAL; their renames are as safe as they get.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL)
    throw_system_error(folder.string(), "cannot be synced");
}

void replace_file(const fs::path& file, const std::function<void(int, const std::string&)>& write) {
  const fs::path temporary = temporary_for(file);
  try {
    FileDescriptor descriptor(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (descriptor.get() < 0) throw_system_error(file.string(), "cannot be created");
    write(descriptor.get(), file.string());
    if (::fsync(descriptor.get()) != 0) throw_system_error(file.string(), "cannot be synced");
    if (!descriptor.close()) throw_system_error(file.string(), "cannot be closed");
    if (::rename(temporary.c_str(), file.c_str()) != 0)
      throw_system_error(file.string(), "cannot be replaced");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder_of(file);
}

}  // namespace dcl::densecl
