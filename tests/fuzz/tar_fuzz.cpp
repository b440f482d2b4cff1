// Tables of contents of tar archives. What holds: headers are read inside the archive, and its files, with
// the links that lead to them, lie in it one behind the other, each on a block of its own. Nearly no change
// of a header leaves its checksum right, so each input is read as it is and with the checksums of its headers
// put right.
#include <algorithm>
#include <array>
#include <set>
#include <utility>

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
  std::set<std::pair<std::int64_t, std::int64_t>> places;  // a link is where its file is
  for (const auto& member : data::index_tar(size, read, "x.tar")) places.insert({member.offset, member.size});
  std::int64_t end = 0;  // of the file before
  for (const auto& [offset, bytes] : places) {
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
      archive_of({{"a", '5', "", "00000007000"},
                  {"a/1.jpg", '0', "one"},
                  {"2.jpg", '1', "", "", "./a/1.jpg"},
                  {"a/3.jpg", '2', "", "", "../4.jpg"},
                  {"4.jpg", '2', "", "", "4.jpg"}}),
      archive_of({{"././@LongLink", 'K', std::string(150, 'l')}, {"1.jpg", '1', ""}}),
      archive_of({{"header", 'x', "22 GNU.sparse.major=1\n19 linkpath=1.jpg\n"}, {"1.jpg", '0', "holes"}}),
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
