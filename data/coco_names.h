// COCO's annotation files, as far as they name pictures.
#pragma once

#include <filesystem>
#include <istream>
#include <string>
#include <vector>

namespace dcl::data {

/// "images"[i]."file_name" of an annotation file, in the file's order, read as a stream (the largest have
/// half a gigabyte). Throws Error "SOURCE: reason" where the text cannot be read, is no JSON, has no such
/// list, or an entry without a name.
std::vector<std::string> read_coco_names(const std::filesystem::path& annotations);
std::vector<std::string> parse_coco_names(std::istream& text, const std::string& source);

}  // namespace dcl::data
