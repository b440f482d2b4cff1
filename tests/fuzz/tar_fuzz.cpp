// Tables of contents of tar archives. What holds: headers are read inside the archive, and its files lie in
// it one behind the other, each on a block of its own; a link has the very place of one of them, or none.
// Nearly no change of a header leaves its checksum right, so each input is read as it is and with the
// checksums of its headers put right.
#include <algorithm>
#include <array>
#include <map>

#include "data/tar_index.h"
#include "tensor/check.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

namespace {

constexpr std::int64_t kBlock = 512;

void put_checksums_right(Bytes& archive) {
  static constexpr std::string_view kMagic = "ustar";
  for (std::size_t at = 0; at + kBlock <= archive.size(); at += kBlock) {
    const auto header = std::span(archive).subspan(at, kBlock);
    if (!std::equal(kMagic.begin(), kMagic.end(), header.begin() + 257)) continue;
    std::fill_n(header.begin() + 148, 8, ' ');
    unsigned sum = 0;
    for (const auto byte : header) sum += byte;
    std::ranges::copy(fmt::format("{:06o}", sum), header.begin() + 148);
    header[154] = 0;
  }
}

struct Member {
  std::string name;
  char kind = '0';
  std::string contents;
  std::string size_field = {};  // empty: that of the contents
  std::string target = {};      // of a link
};

Bytes archive_of(const std::vector<Member>& members) {
  Bytes archive;
  for (const auto& member : members) {
    Bytes header(kBlock);
    std::ranges::copy(member.name, header.begin());
    std::ranges::copy(
        member.size_field.empty() ? fmt::format("{:011o}", member.contents.size()) : member.size_field,
        header.begin() + 124);
    std::ranges::copy(member.target, header.begin() + 157);
    header[156] = static_cast<std::uint8_t>(member.kind);
    std::ranges::copy(std::string_view("ustar"), header.begin() + 257);
    archive.insert(archive.end(), header.begin(), header.end());
    archive.insert(archive.end(), member.contents.begin(), member.contents.end());
    archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock);
  }
  archive.resize(archive.size() + 2 * kBlock);
  put_checksums_right(archive);
  return archive;
}

void index(View archive) {
  const auto size = std::ssize(archive);
  const auto read = [&](std::int64_t offset, std::span<std::uint8_t> to) {
    hold(offset >= 0 && std::ssize(to) <= size && offset <= size - std::ssize(to),
         "reads stay in the archive");
    std::copy_n(archive.begin() + offset, to.size(), to.begin());
  };
  std::map<std::int64_t, std::int64_t> files;  // where each begins, and its size
  for (const auto& member : data::index_tar(size, read, "x.tar")) {
    if (member.offset == data::kNowhere) continue;
    const auto [file, added] = files.emplace(member.offset, member.size);
    hold(added || file->second == member.size, "a link is as long as the file that it leads to");
  }
  std::int64_t end = 0;  // of the file before
  for (const auto& [offset, bytes] : files) {
    hold(offset >= end + kBlock && offset % kBlock == 0,
         "a file begins on a block, behind its header and the file before");
    hold(bytes >= 0 && bytes <= size - offset, "a file lies inside the archive");
    end = offset + bytes;
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  return {
      archive_of({{"1.jpg", '0', "one"}, {"1.cls", '0', "7\n"}}),
      archive_of({{"folder", '5', ""}, {"folder/1.jpg", '0', std::string(600, 'x')}, {"2.png", '\0', ""}}),
      archive_of({{"././@LongLink", 'L', std::string(150, 'l') + ".jpg"}, {"1.jpg", '0', "long"}}),
      archive_of({{"header", 'x', "19 path=far/1.jpg\n10 size=3\n"}, {"1.jpg", '0', "pax"}}),
      archive_of(
          {{"1.jpg", '0', "one"}, {"f/2.jpg", '2', "", "", "../1.jpg"}, {"3.jpg", '1', "", "", "f/2.jpg"}}),
      archive_of({{"1.jpg", '2', "", "", "2.jpg"},
                  {"2.jpg", '2', "", "", "1.jpg"},
                  {"3.jpg", '1', "", "", "1.jpg"}}),
      archive_of({{"link", 'K', std::string(150, 'k') + ".jpg"}, {"1.jpg", '1', ""}}),
      archive_of({{"header", 'x', "18 linkpath=far/1\n"}, {"1.jpg", '2', ""}, {"far/1", '0', "pax"}}),
      archive_of({{"1.jpg", 'S', "part"}}),
      archive_of({{"header", 'x', "24 GNU.sparse.name=hole\n"}, {"1.jpg", '0', "part"}}),
      archive_of({{"folder", '5', "", "00000001000"}, {"1.jpg", '0', "behind a folder that names a size"}}),
      archive_of({{"1.jpg", '0', "big", std::string("\x80\0\0\0\0\0\0\0\0\0\0\3", 12)}}),
  };
}

void run(View input) {
  Bytes archive(input.begin(), input.end());
  put_checksums_right(archive);
  try {
    index(archive);
  } catch (const Error&) {
  }
  index(input);
}

}  // namespace dcl::fuzz
