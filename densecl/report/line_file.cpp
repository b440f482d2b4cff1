#include "densecl/report/line_file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "densecl/replace_file.h"
#include "tensor/check.h"
#include "tensor/io/file_descriptor.h"

namespace dcl::densecl::report {
namespace {

using tensor::io::FileDescriptor;
using tensor::io::throw_system_error;
using tensor::io::write_all;

}  // namespace

AppendFile::AppendFile(const std::filesystem::path& path, Mode mode)
    : path_(path),
      descriptor_(::open(path.c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (mode == Mode::replace ? O_TRUNC : 0) |
                             (mode == Mode::create_new ? O_EXCL : 0),
                         0666)) {
  if (descriptor_ < 0) throw_system_error(path.string(), "cannot be written");
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::write(std::string_view bytes) {
  struct stat before{};
  const bool known = ::fstat(descriptor_, &before) == 0;
  if (write_all(descriptor_, bytes.data(), bytes.size())) return;
  const int code = errno;
  if (known && S_ISREG(before.st_mode) && ::ftruncate(descriptor_, before.st_size) != 0)
    throw_system_error(path_.string(), "a torn line cannot be cut off");
  errno = code;
  throw_system_error(path_.string(), "writing failed");
}

void replace_file(const std::filesystem::path& path, std::string_view text) {
  densecl::replace_file(path, [&](int descriptor, const std::string& shown_path) {
    if (!write_all(descriptor, text.data(), text.size())) throw_system_error(shown_path, "writing failed");
  });
}

std::string read_text_file(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw_system_error(path.string(), "cannot be read");
  std::string text;
  for (char buffer[1 << 14];;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error(path.string(), "reading failed");
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

void keep_lines(const std::filesystem::path& path, const std::function<bool(std::string_view line)>& keep) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_text_file(path);
  std::string kept;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    if (const std::string_view line(text.data() + at, end - at); keep(line))
      kept.append(line).push_back('\n');
  if (kept.size() != text.size()) replace_file(path, kept);
}

}  // namespace dcl::densecl::report
