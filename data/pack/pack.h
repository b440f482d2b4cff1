// Packing a set of pictures into one container: what folder2lmdb_coco.py and folder2lmdb_imagenet.py do.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "data/source.h"

namespace dcl::data {

struct PackOptions {
  std::string to = "lmdb";          // or "tar"
  std::int64_t resize_short = 0;    // pixels; larger pictures are made so small, as JPEG; 0: none is
  std::optional<int> quality = {};  // of JPEG, 1 to 100; where it is set every picture is written anew
  std::int64_t shard_bytes = 0;     // of tar: about so long is each archive; 0: one archive
  std::function<void(std::int64_t done, std::int64_t of, const char* what)> on_progress = {};
  std::function<void(const std::string& line)> on_message = {};
  std::function<bool()> should_stop = {};
};

struct PackResult {
  std::int64_t pictures = 0;  // in the container
  std::int64_t skipped = 0;   // of the source: could not be read (or, where they had to be decoded, decoded)
  std::int64_t resumed = 0;   // of the source: done by an earlier run
  bool stopped = false;       // should_stop said so; what is done is kept for the next run
};

/// Packs all samples of `source`, in its order, into `container`. It grows under another name (partial_path)
/// and can be taken up again, also after a kill; every picture in it is read again and compared with what was
/// written before it gets its own name. A container that is there already and was packed from the same set in
/// the same way is only verified. Samples that cannot be read are named, counted and left out. Throws Error
/// where nothing can be written, where something else stands in the container's place, and, naming what to
/// delete, when what was read again is not what was written.
PackResult pack(const Source& source, const std::filesystem::path& container, const PackOptions& options);

}  // namespace dcl::data
