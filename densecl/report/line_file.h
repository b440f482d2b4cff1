// Files of lines that are appended to while a run goes on and cut back when it is resumed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace dcl::densecl::report {

/// Appends to a file; what is written reaches the system at once. A write that fails leaves the file as it
/// was before that write, so that it always ends with a whole line.
class AppendFile {
 public:
  enum class Mode { replace, append, create_new };

  /// Throws dcl::Error when the file cannot be opened; with create_new also when it exists.
  AppendFile(const std::filesystem::path& path, Mode mode);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Throws dcl::Error "PATH: writing failed (No space left on device)"; a later write may succeed again.
  void write(std::string_view bytes);

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// Puts `text` in the place of the file in one step: whoever reads it, also after a crash, sees the old or
/// the new content. Throws dcl::Error.
void replace_file(const std::filesystem::path& path, std::string_view text);
/// Throws dcl::Error when the file cannot be read.
std::string read_text_file(const std::filesystem::path& path);

/// Keeps the lines for which `keep` holds; a last line without a newline (torn by a crash) is dropped.
/// Crash-safe; a file that does not exist stays so.
void keep_lines(const std::filesystem::path& path, const std::function<bool(std::string_view line)>& keep);

}  // namespace dcl::densecl::report
