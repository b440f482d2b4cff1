// The table of contents of a tar archive.
//
// POSIX.1-1988 "ustar" with the extensions in use: GNU's long names and base-256 sizes, and the pax records
// "path", "linkpath" and "size" (POSIX.1-2001).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace dcl::data {

inline constexpr std::int64_t kNowhere = -1;

/// A regular file in an archive, or a link to one.
struct TarMember {
  std::string name;
  std::int64_t offset = 0;  // of its first byte in the archive; kNowhere: a link to no file of the archive
  std::int64_t size = 0;    // bytes
};

/// Fills `to` from `offset` on; the caller stays inside the archive.
using ReadAt = std::function<void(std::int64_t offset, std::span<std::uint8_t> to)>;

/// All regular files of an archive of `size` bytes and all links, in its order. A hard link has the place of
/// the file that had its target's name before it, a symbolic link that of the last file with the name, which
/// is relative to the link's folder; links to folders are not followed, neither the link itself nor on the
/// way to a file. Reads headers only. Throws Error "SOURCE: reason" for what is no tar archive, a header
/// whose checksum is wrong, sparse files (GNU tar's, in all its formats), and an archive that was cut off:
/// one that ends inside a file or without the two empty blocks behind the last.
std::vector<TarMember> index_tar(std::int64_t size, const ReadAt& read, const std::string& source);

}  // namespace dcl::data
