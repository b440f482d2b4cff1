// The table of contents of a tar archive.
//
// POSIX.1-1988 "ustar" with the extensions in use: GNU's long names and base-256 sizes, and the pax records
// "path", "linkpath" and "size" (POSIX.1-2001). As GNU tar has it, nothing follows the header of a link, a
// folder or a device, whatever size stands there.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace dcl::data {

/// A regular file in an archive, or a link, hard or symbolic, to one: then `offset` and `size` are that
/// file's, and `size` is 0 where the archive does not hold it.
struct TarMember {
  std::string name;
  std::int64_t offset = 0;  // of its first byte in the archive
  std::int64_t size = 0;    // bytes
};

/// Fills `to` from `offset` on; the caller stays inside the archive.
using ReadAt = std::function<void(std::int64_t offset, std::span<std::uint8_t> to)>;

/// All regular files and links of an archive of `size` bytes, in its order. Reads headers only. Throws Error
/// "SOURCE: reason" for what is no tar archive, a header whose checksum is wrong, a sparse file, and an
/// archive that was cut off: one that ends inside a file or without the two empty blocks behind the last.
std::vector<TarMember> index_tar(std::int64_t size, const ReadAt& read, const std::string& source);

}  // namespace dcl::data
