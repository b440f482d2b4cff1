// What a set is packed into: containers that grow a batch at a time and can be taken up again after a kill.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/source.h"

namespace dcl::data {

/// A packed picture file: what the container holds of it beside its bytes.
struct PackedEntry {
  std::string name;
  std::int64_t label = kNoLabel;
  std::uint32_t crc = 0;  // CRC-32 (zlib's) of the bytes
};

/// How far a pack has come.
struct PackState {
  std::int64_t next = 0;  // the source's first sample that is not done
  std::vector<PackedEntry> entries;
};

class PackWriter {
 public:
  virtual ~PackWriter() = default;
  /// What is safely written already, by this process or an earlier one.
  virtual const PackState& state() const = 0;
  /// Adds samples so that they outlive a kill once this returns; `next`: the source's sample to go on with.
  virtual void append(std::span<const Sample> samples, std::int64_t next) = 0;
  /// Adds what makes the container whole, after which it can be read; returns where it stands for now.
  virtual std::filesystem::path complete() = 0;
  /// Gives it its name.
  virtual void publish() = 0;
};

/// Where a container grows before it is complete: beside it, ".partial" behind its name.
std::filesystem::path partial_path(const std::filesystem::path& container);

/// `job`: what is packed and how, one line. A container that was begun for another job, or one that is
/// damaged, is begun anew. Throws Error where nothing can be written.
std::unique_ptr<PackWriter> open_lmdb_writer(const std::filesystem::path& container, const std::string& job);
/// `shard_bytes`: an archive is closed once it is longer; 0: one archive, a file. Otherwise `container` is a
/// folder of 000000.tar, 000001.tar, …
std::unique_ptr<PackWriter> open_tar_writer(const std::filesystem::path& container, const std::string& job,
                                            std::int64_t shard_bytes);

/// What a whole container holds, where it was packed for this very job; nothing where it is anything else.
std::optional<std::vector<PackedEntry>> find_lmdb_pack(const std::filesystem::path& container,
                                                       const std::string& job);
std::optional<std::vector<PackedEntry>> find_tar_pack(const std::filesystem::path& container,
                                                      const std::string& job);

std::uint32_t crc_of(std::span<const std::uint8_t> bytes);
/// Entries as JSON and back; the second throws Error.
std::string entries_text(std::span<const PackedEntry> entries);
std::vector<PackedEntry> parse_entries(const std::string& text);

}  // namespace dcl::data
