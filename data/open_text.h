// Text files that say which pictures a set has: lists and annotations.
#pragma once

#include <filesystem>
#include <fstream>
#include <string_view>

namespace dcl::data {

/// Opens a text file; `what` says what it should be ("a list"). Throws Error "PATH: reason" for one that is
/// missing or may not be read, and for a folder (which opens, and fails at the first byte).
std::ifstream open_text(const std::filesystem::path& path, std::string_view what);

/// Whether there is something at `path`, for files that a set may do without. Throws Error where that cannot
/// be told, and where a link at `path`, or the folder that it is in, leads nowhere: somebody meant a file to
/// be there.
bool is_there(const std::filesystem::path& path);

}  // namespace dcl::data
