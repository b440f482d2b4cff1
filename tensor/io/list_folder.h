// What is in a folder.
#pragma once

#include <filesystem>
#include <system_error>
#include <vector>

namespace dcl::tensor::io {

/// Paths of a folder's entries in the order of their names; as many as can be listed where `error` is set.
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder, std::error_code& error);

}  // namespace dcl::tensor::io
