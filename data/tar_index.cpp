#include "data/tar_index.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "tensor/check.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kBlock = 512;
constexpr std::int64_t kMostExtension = 1 << 20;  // bytes of a long name or a pax header
constexpr std::int64_t kMostSize = std::numeric_limits<std::int64_t>::max() / 2;

constexpr char kHardLink = '1';
constexpr char kSymbolicLink = '2';
constexpr int kMostHops = 40;  // of links to links, as Linux follows them
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

using Block = std::array<std::uint8_t, kBlock>;

// A field up to its first NUL.
std::string text(const Block& block, std::size_t from, std::size_t length) {
  const auto* first = reinterpret_cast<const char*>(block.data()) + from;
  return {first, std::find(first, first + length, '\0')};
}

// Octal digits between blanks and NULs, or, with the highest bit set, a big-endian number. Nothing when it is
// neither, or negative, or too large.
std::optional<std::int64_t> number(const Block& block, std::size_t from, std::size_t length) {
  std::int64_t value = 0;
  if ((block[from] & 0x80) != 0) {
    if (block[from] != 0x80) return std::nullopt;
    for (std::size_t i = 1; i < length; ++i) {
      if (value > (kMostSize >> 8)) return std::nullopt;
      value = value * 256 + block[from + i];
    }
    return value;
  }
  std::string digits = text(block, from, length);
  std::erase(digits, ' ');
  if (digits.empty()) return 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0 || value > kMostSize)
    return std::nullopt;
  return value;
}

// The sum of all bytes, the checksum's own eight taken for blanks.
bool checksum_holds(const Block& block) {
  std::int64_t sum = 8 * ' ';
  for (std::size_t i = 0; i < block.size(); ++i)
    if (i < 148 || i >= 156) sum += block[i];
  return number(block, 148, 8) == sum;
}

std::string name_of(const Block& block) {
  const std::string prefix = text(block, 257, 6) == "ustar" ? text(block, 345, 155) : "";
  return prefix.empty() ? text(block, 0, 100) : prefix + "/" + text(block, 0, 100);
}

// The same for all ways to write a path: "./a//b.jpg" is "a/b.jpg".
std::string normal(const fs::path& path) { return path.lexically_normal().string(); }

class Indexer {
 public:
  Indexer(std::int64_t size, const ReadAt& read, const std::string& source)
      : size_(size), read_(read), source_(source) {}

  std::vector<TarMember> run() {
    while (!at_end()) step();
    resolve_links();
    return std::move(members_);
  }

 private:
  // Past the two empty blocks that close an archive.
  bool at_end() {
    const Block block = block_at(at_);
    const auto empty = [](const Block& b) {
      return std::all_of(b.begin(), b.end(), [](auto c) { return c == 0; });
    };
    if (!empty(block)) {
      header_ = block;
      return false;
    }
    check(empty(block_at(at_ + kBlock)), "{}: broken tar archive, one empty block at byte {}", source_, at_);
    return true;
  }

  void step() {
    check(checksum_holds(header_), "{}: {} at byte {}", source_,
          at_ == 0 ? "not a tar archive, no header" : "broken tar archive, the header's checksum is wrong",
          at_);
    const auto size = number(header_, 124, 12);
    check(size.has_value(), "{}: broken tar archive, no size at byte {}", source_, at_);
    const char kind = static_cast<char>(header_[156]);
    const std::int64_t start = at_ + kBlock;
    const bool extension = kind == 'L' || kind == 'K' || kind == 'x';
    const bool empty = kind >= '1' && kind <= '6';  // links, devices, folders, pipes: whatever size they name
    const std::int64_t bytes = empty ? 0 : extension ? *size : next_.size.value_or(*size);
    const std::string name = next_.name.value_or(name_of(header_));
    check(extension || (kind != 'S' && !next_.sparse),
          "{}: {}: sparse files are not supported, archive it without tar's --sparse", source_,
          next_.sparse_name.value_or(name));
    check(bytes <= size_ - start, "{}: cut off, {} needs {} bytes from byte {} on and the archive has {}",
          source_, name, bytes, start, size_);
    if (extension) {
      extend(kind, contents(start, bytes));
    } else {
      const bool link = kind == kHardLink || kind == kSymbolicLink;
      if (link) links_.push_back({members_.size(), kind, next_.target.value_or(text(header_, 157, 100))});
      if (link || kind == '0' || kind == '\0' || kind == '7')
        members_.push_back({name, link ? kNowhere : start, bytes});
      next_ = {};
    }
    at_ = start + (bytes + kBlock - 1) / kBlock * kBlock;
  }

  Block block_at(std::int64_t offset) const {
    check(offset <= size_ - kBlock, "{}: cut off, no end of the archive after byte {}", source_, size_);
    Block block;
    read_(offset, block);
    return block;
  }

  std::string contents(std::int64_t start, std::int64_t bytes) const {
    check(bytes <= kMostExtension, "{}: broken tar archive, a name of {} bytes at byte {}", source_, bytes,
          start);
    std::string all(static_cast<std::size_t>(bytes), '\0');
    read_(start, {reinterpret_cast<std::uint8_t*>(all.data()), all.size()});
    return all;
  }

  // What a header of kind 'L', 'K' or 'x' says of the next file.
  void extend(char kind, const std::string& contents) {
    if (kind == 'L' || kind == 'K') {
      (kind == 'L' ? next_.name : next_.target) = contents.substr(0, contents.find('\0'));
      return;
    }
    for (std::string_view rest = contents; !rest.empty();) rest.remove_prefix(pax_record(rest));
  }

  // "LENGTH KEY=VALUE\n", the length being that of the whole record; returns it.
  std::size_t pax_record(std::string_view text) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto head = static_cast<std::size_t>(end - text.data()) + 1;
    check(error == std::errc() && head < length && length <= text.size() && *end == ' ' &&
              text[length - 1] == '\n',
          "{}: broken tar archive, a damaged pax record before byte {}", source_, at_);
    const std::string_view record = text.substr(head, length - head - 1);
    const std::size_t equals = std::min(record.find('='), record.size());
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(std::min(equals + 1, record.size()));
    if (key == "path") next_.name = value;
    if (key == "linkpath") next_.target = value;
    next_.sparse |= key.starts_with("GNU.sparse.");
    if (key == "GNU.sparse.name") next_.sparse_name = value;
    if (key == "size") {
      std::int64_t bytes = -1;
      const auto [last, bad] = std::from_chars(value.data(), value.data() + value.size(), bytes);
      check(bad == std::errc() && last == value.data() + value.size() && bytes >= 0 && bytes <= kMostSize,
            "{}: broken tar archive, a pax size '{}' before byte {}", source_, value, at_);
      next_.size = bytes;
    }
    return length;
  }

  // Gives links the place of the file that they lead to. As when the archive is unpacked, a hard link is to
  // what has the name by then, a symbolic one to what has it in the end.
  void resolve_links() {
    if (links_.empty()) return;
    std::unordered_map<std::string, std::size_t> named;  // the last of each name, so far
    const auto find = [&](const fs::path& path) {
      const auto found = named.find(normal(path));
      return found == named.end() ? kNone : found->second;
    };
    std::vector<std::size_t> leads_to(members_.size(), kNone);
    auto link = links_.begin();
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (link != links_.end() && link->member == i) {
        if (link->kind == kHardLink) leads_to[i] = find(link->target);
        ++link;
      }
      named[normal(members_[i].name)] = i;
    }
    for (const auto& [member, kind, target] : links_)
      if (kind == kSymbolicLink)
        leads_to[member] = find(fs::path(members_[member].name).parent_path() / target);
    for (const auto& each : links_) {
      std::size_t at = each.member;
      for (int hops = 0; hops < kMostHops && at != kNone && members_[at].offset == kNowhere; ++hops)
        at = leads_to[at];
      if (at == kNone) continue;
      members_[each.member].offset = members_[at].offset;
      members_[each.member].size = members_[at].size;
    }
  }

  // What extended headers say of the file behind them.
  struct Next {
    std::optional<std::string> name;
    std::optional<std::string> target;
    std::optional<std::int64_t> size;
    bool sparse = false;                     // only parts of it are stored
    std::optional<std::string> sparse_name;  // where `name` is a made-up one
  };
  struct Link {
    std::size_t member;
    char kind;
    std::string target;
  };

  std::int64_t size_;
  const ReadAt& read_;
  const std::string& source_;
  std::int64_t at_ = 0;  // the header in hand
  Block header_{};
  Next next_;
  std::vector<TarMember> members_;
  std::vector<Link> links_;  // in the order of their members
};

}  // namespace

std::vector<TarMember> index_tar(std::int64_t size, const ReadAt& read, const std::string& source) {
  check(size > 0, "{}: empty, expected a tar archive", source);
  return Indexer(size, read, source).run();
}

}  // namespace dcl::data
