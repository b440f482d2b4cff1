// safetensors: files of the format's own library are read, files written here are byte for byte what the
// format's text asks for (tests/golden/safetensors/make.py puts them together without our code).
#include "tensor/io/safetensors.h"

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/ops/op_table.h"

namespace dcl::tensor::io {
namespace {

using dcl::test::expect_error;
using dcl::test::expect_same_bits;

const std::string kGolden = DCL_SOURCE_DIR "/tests/golden/safetensors/";

// A file name of this test's own; the file goes with the guard.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(::testing::TempDir() + "dcl_" + std::to_string(::getpid()) + "_" + name) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

Safetensors parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "test.safetensors");
}

// The tensors of make.py, in its order.
std::vector<NamedTensor> golden_tensors() {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<bfloat16> half;
  for (const float value : {1.0F, -2.5F, 3.140625F}) half.emplace_back(value);
  return {
      {"queue_ptr", Tensor::from<std::int64_t>(std::vector<std::int64_t>{9007199254740993}, {1})},
      {"pixels", Tensor::from<std::uint8_t>(std::vector<std::uint8_t>{250, 251, 252, 253, 254}, {5, 1})},
      {"encoder.weight",
       Tensor::from<float>(std::vector<float>{0.5F, -1.25F, 3, 1e-30F, inf, -0.0F}, {2, 3})},
      {"half", Tensor::from<bfloat16>(half, {3})},
      {"wide", Tensor::from<double>(std::vector<double>{0.1}, Shape())},
      {"empty", Tensor::zeros({0, 3})},
      {"na\"me\u00e9", Tensor::from<float>(std::vector<float>{7}, {1})},
  };
}

TEST(Safetensors, ReadsTheFileOfTheFormatsOwnPackage) {
  const Safetensors file = read_safetensors(kGolden + "package.safetensors");
  EXPECT_EQ(file.metadata, (Metadata{{"author", "DenseCL"}}));
  EXPECT_EQ(file.tensors.size(), golden_tensors().size());
  for (const auto& [name, tensor] : golden_tensors()) expect_same_bits(file.at(name), tensor, name);
}

TEST(Safetensors, WritesTheGoldenBytesAndReadsThemBack) {
  const TemporaryFile out("golden.safetensors");
  const Metadata metadata{{"text", "a \"quote\" and a \u00e9"}, {"author", "DenseCL"}};
  write_safetensors(out.path(), golden_tensors(), metadata);
  EXPECT_EQ(bytes_of(out.path()), bytes_of(kGolden + "checksums.safetensors"));

  const Safetensors file = read_safetensors(kGolden + "checksums.safetensors");
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), golden_tensors().size());
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].name, golden_tensors()[i].name);
    expect_same_bits(file.tensors[i].tensor, golden_tensors()[i].tensor, file.tensors[i].name);
  }
}

TEST(Safetensors, WritesNoTensorsToo) {
  const TemporaryFile out("none.safetensors");
  write_safetensors(out.path(), {});
  EXPECT_EQ(bytes_of(out.path()).size() % 8, 0U);
  EXPECT_TRUE(read_safetensors(out.path()).tensors.empty());
}

TEST(Safetensors, FindsByName) {
  const Safetensors file = read_safetensors(kGolden + "package.safetensors");
  EXPECT_EQ(file.find("half"), &file.at("half"));
  EXPECT_EQ(file.find("nothing"), nullptr);
  expect_error([&] { file.at("nothing"); }, {"package.safetensors", "there is no tensor \"nothing\""});
}

TEST(Safetensors, EveryFlippedBitIsNoticed) {
  const std::string good = bytes_of(kGolden + "checksums.safetensors");
  ASSERT_NO_THROW(parse(good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_THROW(parse(bad), Error) << "byte " << i << " bit " << bit;
    }
  }
}

TEST(Safetensors, EveryTruncationAndAnythingBehindTheEndIsNoticed) {
  const std::string good = bytes_of(kGolden + "package.safetensors");
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_THROW(parse(good.substr(0, size)), Error) << size;
  expect_error([&] { parse(good + "x"); }, {"test.safetensors", "the file at"});
}

// A file of this header and so many zero bytes of data.
std::string file_of(const std::string& json, std::size_t data_bytes) {
  const auto length = std::bit_cast<std::array<char, 8>>(static_cast<std::uint64_t>(json.size()));
  return std::string(length.begin(), length.end()) + json + std::string(data_bytes, '\0');
}

struct Hostile {
  const char* name;
  std::string json;
  std::size_t data_bytes;
  std::string message;  // a part of it
};

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::vector<Hostile> hostile_files() {
  const std::string good = entry("F32", "[2]", "[0,8]");
  const std::string later = entry("F32", "[2]", "[8,16]");
  return {
      {"not json", "{]", 0, "not JSON"},
      {"not an object", "[1]", 0, "does not start with {"},
      {"leading space", " {\"a\":" + good + "}", 8, "does not start with {"},
      {"byte order mark", "\xEF\xBB\xBF{\"a\":" + good + "}", 8, "does not start with {"},
      {"two values", "{}{}", 0, "not JSON"},
      {"nul and more", std::string("{}\0{}", 5), 0, "NUL"},
      {"comment", "{\"a\":" + good + "/* */}", 8, "not JSON"},
      {"invalid utf-8", "{\"a\xff\":" + good + "}", 8, "not JSON"},
      {"duplicate tensor", "{\"a\":" + good + ",\"a\":" + later + "}", 16, "\"a\" is twice"},
      {"duplicate by escape", "{\"a\":" + good + ",\"\\u0061\":" + later + "}", 16, "\"a\" is twice"},
      {"duplicate metadata", R"({"__metadata__":{},"__metadata__":{}})", 0, "twice"},
      {"duplicate metadata key", R"({"__metadata__":{"k":"1","k":"2"}})", 0, "\"k\" is twice"},
      {"duplicate field", R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
       "has dtype twice"},
      {"metadata not a string", R"({"__metadata__":{"k":1}})", 0, "expected a string"},
      {"metadata nested", R"({"__metadata__":{"k":{}}})", 0, "expected a string"},
      {"unknown key", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8, "unknown key"},
      {"missing key", R"({"a":{"dtype":"F32","shape":[2]}})", 8, "lacks one of"},
      {"tensor not an object", R"({"a":[]})", 0, "an array, expected an object"},
      {"unknown type", "{\"a\":" + entry("F16", "[4]", "[0,8]") + "}", 8, "\"F16\", expected F32"},
      {"type not a string", R"({"a":{"dtype":3,"shape":[2],"data_offsets":[0,8]}})", 8, "3 in dtype"},
      {"negative size", "{\"a\":" + entry("F32", "[-2]", "[0,8]") + "}", 8, "-2 in shape"},
      {"fractional size", "{\"a\":" + entry("F32", "[2.0]", "[0,8]") + "}", 8, "2.0 in shape"},
      {"nested size", "{\"a\":" + entry("F32", "[[2]]", "[0,8]") + "}", 8, "an array in shape"},
      {"size above int64", "{\"a\":" + entry("U8", "[9223372036854775808]", "[0,8]") + "}", 8, "a size of"},
      {"size above uint64", "{\"a\":" + entry("U8", "[18446744073709551616]", "[0,8]") + "}", 8, "in shape"},
      {"product overflows", "{\"a\":" + entry("F32", "[4294967296,4294967296]", "[0,0]") + "}", 0,
       "overflow"},
      {"product wraps to 8", "{\"a\":" + entry("F64", "[2305843009213693953]", "[0,8]") + "}", 8, "overflow"},
      {"too many dimensions", "{\"a\":" + entry("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") + "}",
       4, "more than 16 dimensions"},
      {"one offset", "{\"a\":" + entry("F32", "[2]", "[8]") + "}", 8, "1 numbers, expected 2"},
      {"three offsets", "{\"a\":" + entry("F32", "[2]", "[0,8,8]") + "}", 8, "more than 2 numbers"},
      {"offsets reversed", "{\"a\":" + entry("F32", "[2]", "[8,0]") + "}", 8, "ends before it begins"},
      {"offsets too wide", "{\"a\":" + entry("F32", "[2]", "[0,12]") + "}", 12, "needs 8 bytes"},
      {"offsets far out",
       "{\"a\":" + entry("F32", "[2]", "[18446744073709551607,18446744073709551615]") + "}", 8,
       "begins at byte"},
      {"overlap", "{\"a\":" + good + ",\"b\":" + entry("F32", "[2]", "[4,12]") + "}", 12, "begins at byte 4"},
      {"same place", "{\"a\":" + good + ",\"b\":" + good + "}", 8, "begins at byte 0"},
      {"gap", "{\"a\":" + good + ",\"b\":" + entry("F32", "[2]", "[12,20]") + "}", 20, "begins at byte 12"},
      {"gap in front", "{\"a\":" + later + "}", 16, "begins at byte 8"},
      {"data beyond", "{\"a\":" + good + "}", 9, "the file at 9"},
      {"data short", "{\"a\":" + good + "}", 7, "the file at 7"},
      {"huge and short", "{\"a\":" + entry("U8", "[1000000000000]", "[0,1000000000000]") + "}", 8,
       "the file at 8"},
      {"empty name", "{\"\":" + good + "}", 8, "name has 0 bytes"},
      {"long name", "{\"" + std::string(4097, 'a') + "\":" + good + "}", 8, "name has 4097 bytes"},
      {"newline in name", R"({"a\nb":{"x":1}})", 0, "\"a?b\" has an unknown key"},
      {"deep", "{\"a\":" + std::string(100000, '[') + "}", 0, "an array, expected an object"},
      {"tensor checksum alone", R"({"__metadata__":{"dcl.crc32:a":"00000000"},"a":)" + good + "}", 8,
       "own checksum is missing"},
      {"header checksum alone", R"({"__metadata__":{"dcl.crc32":"00000000"}})", 0, "checksum"},
      {"odd checksum", R"({"__metadata__":{"dcl.crc32":"no"}})", 0, "not in the form"},
  };
}

TEST(Safetensors, HostileFilesAreRefusedInOneLine) {
  ASSERT_NO_THROW(parse(file_of("{\"a\":" + entry("F32", "[2]", "[0,8]") + "}  ", 8)));
  for (const auto& file : hostile_files()) {
    SCOPED_TRACE(file.name);
    expect_error([&] { parse(file_of(file.json, file.data_bytes)); }, {"test.safetensors: ", file.message});
  }
}

TEST(Safetensors, HeaderLengthIsBounded) {
  std::string bytes = file_of("{}", 0);
  for (const std::uint64_t length : {std::uint64_t{100'000'001}, std::uint64_t{3}, ~std::uint64_t{0}}) {
    std::memcpy(bytes.data(), &length, sizeof length);
    expect_error([&] { parse(bytes); }, {"a header of " + std::to_string(length) + " bytes"});
  }
}

TEST(Safetensors, WhatIsNotAFileIsRefused) {
  expect_error([] { read_safetensors("/nowhere/at/all"); },
               {"/nowhere/at/all: cannot be opened (No such file"});
  expect_error([] { read_safetensors(::testing::TempDir()); }, {"not a file"});
  expect_error([] { read_safetensors("/dev/zero"); }, {"/dev/zero: not a file"});
}

TEST(Safetensors, WriterRefusesWhatItCannotStore) {
  const TemporaryFile out("refused.safetensors");
  const Tensor x = Tensor::zeros({2});
  const auto refuses = [&](const std::vector<NamedTensor>& tensors, const Metadata& metadata,
                           std::string_view message) {
    expect_error([&] { write_safetensors(out.path(), tensors, metadata); }, {out.path(), message});
  };
  refuses({{"a", x}, {"a", x}}, {}, "two tensors are named \"a\"");
  refuses({{"", x}}, {}, "cannot be a tensor's name");
  refuses({{"__metadata__", x}}, {}, "cannot be a tensor's name");
  refuses({{"a", Tensor()}}, {}, "undefined");
  refuses({{"a\xff", x}}, {}, "not UTF-8");
  refuses({{"a", x}}, {{"k", "\xc3"}}, "not UTF-8");
  refuses({{"a", x}}, {{"dcl.crc32", "1"}}, "kept for checksums");
}

TEST(Safetensors, AFullDiskIsAnErrorThatSaysSo) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  const std::vector<NamedTensor> tensors{{"a", Tensor::zeros({1000})}};
  try {
    write_safetensors(full, "checkpoint.safetensors", tensors);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code(), ENOSPC);
    EXPECT_STREQ(error.what(), "checkpoint.safetensors: cannot be written (No space left on device)");
  }
  ::close(full);
}

}  // namespace
}  // namespace dcl::tensor::io
