// Files of a run that take their place whole.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace dcl::densecl {

/// Creates or replaces `file` so that, whatever happens, either the old or the new one is whole: `write`
/// fills a temporary file beside it, which is synced and renamed, and then the folder is synced. Throws
/// tensor::io::SystemError (or what `write` throws) with the temporary file removed and the old one
/// untouched. A failed sync is not tried again.
void replace_file(const std::filesystem::path& file,
                  const std::function<void(int descriptor, const std::string& path)>& write);

/// The hidden file beside `file` that is filled first, ".NAME.tmp"; and back, nothing for any other name.
std::filesystem::path temporary_for(const std::filesystem::path& file);
std::optional<std::filesystem::path> target_of_temporary(const std::filesystem::path& path);

/// Makes a rename in the folder of `file` outlive a power cut. Throws tensor::io::SystemError.
void sync_folder_of(const std::filesystem::path& file);

}  // namespace dcl::densecl
