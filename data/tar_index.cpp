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

namespace {

constexpr std::int64_t kBlock = 512;
constexpr std::int64_t kMostExtension = 1 << 20;  // bytes of a long name or a pax header
constexpr std::int64_t kMostSize = std::numeric_limits<std::int64_t>::max() / 2;

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

// Which members are links, and to what.
class Links {
 public:
  void add(std::size_t member, std::string target, bool symbolic) {
    links_.push_back({member, std::move(target), symbolic});
  }

  // Gives each link the place of the file that it leads to, or of none.
  void resolve(std::vector<TarMember>& members) const {
    if (links_.empty()) return;
    const auto next = next_members(members);
    for (const Link& link : links_) {
      std::size_t at = link.member;
      int steps = 0;
      for (auto found = next.find(at); found != next.end() && steps < kMostSteps; ++steps) {
        at = found->second;
        found = next.find(at);
      }
      if (at >= members.size() || next.contains(at)) continue;
      members[link.member].offset = members[at].offset;
      members[link.member].size = members[at].size;
    }
  }

 private:
  static constexpr int kMostSteps = 40;  // of a chain of links, as in Linux
  struct Link {
    std::size_t member;
    std::string target;
    bool symbolic;
  };

  static std::string plain(const std::filesystem::path& path) { return path.lexically_normal().string(); }

  // The member that each link names, members.size() where there is none: a hard link the last one of that
  // name before it, a symbolic one, whose target is seen from its own folder, the last one of all.
  std::unordered_map<std::size_t, std::size_t> next_members(const std::vector<TarMember>& members) const {
    std::unordered_map<std::string, std::size_t> by_name;
    std::unordered_map<std::size_t, std::size_t> next;
    const auto find = [&](const std::filesystem::path& name) {
      const auto found = by_name.find(plain(name));
      return found == by_name.end() ? members.size() : found->second;
    };
    auto link = links_.begin();
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (link != links_.end() && link->member == i) {
        if (!link->symbolic) next[i] = find(link->target);
        ++link;
      }
      by_name[plain(members[i].name)] = i;
    }
    for (const Link& each : links_)
      if (each.symbolic)
        next[each.member] =
            find(std::filesystem::path(members[each.member].name).parent_path() / each.target);
    return next;
  }

  std::vector<Link> links_;  // in the order of their members
};

class Indexer {
 public:
  Indexer(std::int64_t size, const ReadAt& read, const std::string& source)
      : size_(size), read_(read), source_(source) {}

  std::vector<TarMember> run() {
    while (!at_end()) step();
    links_.resolve(members_);
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
    const bool only_header = kind >= '1' && kind <= '6';  // links, devices, a folder, a pipe
    const std::int64_t bytes = extension ? *size : only_header ? 0 : next_size_.value_or(*size);
    const std::string name = next_name_.value_or(name_of(header_));
    check(bytes <= size_ - start, "{}: cut off, {} needs {} bytes from byte {} on and the archive has {}",
          source_, name, bytes, start, size_);
    if (extension) {
      extend(kind, contents(start, bytes));
    } else {
      add(kind, {name, start, bytes});
      next_name_.reset();
      next_target_.reset();
      next_size_.reset();
      next_sparse_ = false;
    }
    at_ = start + (bytes + kBlock - 1) / kBlock * kBlock;
  }

  void add(char kind, TarMember member) {
    check(!next_sparse_ && kind != 'S', "{}: {} is a sparse file, which cannot be read from an archive",
          source_, member.name);
    const bool link = kind == '1' || kind == '2';
    if (link) links_.add(members_.size(), next_target_.value_or(text(header_, 157, 100)), kind == '2');
    if (link || kind == '0' || kind == '\0' || kind == '7') members_.push_back(std::move(member));
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
    if (kind != 'x') {
      (kind == 'L' ? next_name_ : next_target_) = contents.substr(0, contents.find('\0'));
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
    if (key == "path") next_name_ = value;
    if (key == "linkpath") next_target_ = value;
    if (key.starts_with("GNU.sparse.")) next_sparse_ = true;
    if (key == "size") {
      std::int64_t bytes = -1;
      const auto [last, bad] = std::from_chars(value.data(), value.data() + value.size(), bytes);
      check(bad == std::errc() && last == value.data() + value.size() && bytes >= 0 && bytes <= kMostSize,
            "{}: broken tar archive, a pax size '{}' before byte {}", source_, value, at_);
      next_size_ = bytes;
    }
    return length;
  }

  std::int64_t size_;
  const ReadAt& read_;
  const std::string& source_;
  std::int64_t at_ = 0;  // the header in hand
  Block header_{};
  std::optional<std::string> next_name_;
  std::optional<std::string> next_target_;  // of a link
  bool next_sparse_ = false;
  std::optional<std::int64_t> next_size_;
  std::vector<TarMember> members_;
  Links links_;
};

}  // namespace

std::vector<TarMember> index_tar(std::int64_t size, const ReadAt& read, const std::string& source) {
  check(size > 0, "{}: empty, expected a tar archive", source);
  return Indexer(size, read, source).run();
}

}  // namespace dcl::data
