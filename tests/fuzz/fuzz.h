// What the fuzz targets share. A target NAME_fuzz.cpp defines seeds() and run(); fuzz.cpp makes of them a
// libFuzzer program, which scripts/fuzz.sh runs:
//
//   NAME_fuzz --write-seeds FOLDER    the inputs to begin with, as files
//   NAME_fuzz FOLDER [-FLAG=VALUE…]   libFuzzer's own command line
//   NAME_fuzz FILE                    one input again: what a finding left behind
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dcl::fuzz {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

/// Small inputs of the kinds that the target reads, the same at each call.
std::vector<Bytes> seeds();
/// Does with the input what an attacker can make a user do. May throw dcl::Error; every other exception ends
/// the program, as do the sanitizers, and counts as a finding.
void run(View input);

/// Ends the program with a message, which is a finding, unless `holds`.
void hold(bool holds, const char* what);

Bytes bytes_of(std::string_view text);
std::string text_of(View bytes);
/// A file of tests/golden.
Bytes golden(const std::string& name);

/// Makes an LMDB database, a file, that holds just these; what was there before is gone.
void write_lmdb(const std::string& path, const std::vector<std::pair<std::string, std::string>>& values);

/// Takes an input apart: numbers from its end, so that its beginning stays what a parser expects; 0 when
/// there is nothing left.
class Choices {
 public:
  explicit Choices(View input) : rest_(input) {}
  /// 0 to `most`.
  std::int64_t upto(std::int64_t most);
  View rest() const { return rest_; }

 private:
  View rest_;
};

}  // namespace dcl::fuzz
