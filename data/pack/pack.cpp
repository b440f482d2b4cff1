#include "data/pack/pack.h"

#include <algorithm>
#include <cmath>

#include "data/decode.h"
#include "data/open_source.h"
#include "data/pack/writer.h"
#include "data/resize.h"
#include "data/scenes/encode.h"
#include "tensor/check.h"
#include "tensor/cpu/threads.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kAtOnce = 256;  // samples of one append
constexpr int kQuality = 95;           // of resized pictures, unless told

// Both sides in proportion, so that the shorter has `side` pixels; never larger.
Image shrunk(const Image& image, std::int64_t side) {
  const std::int64_t shorter = std::min(image.width, image.height);
  if (side == 0 || shorter <= side) return image;
  const auto scaled = [&](std::int64_t length) {
    const double exact =
        static_cast<double>(length) * static_cast<double>(side) / static_cast<double>(shorter);
    return std::max<std::int64_t>(1, std::llround(exact));
  };
  return crop_resize(image, {0, 0, image.height, image.width}, scaled(image.width), scaled(image.height));
}

Sample packed(Sample sample, const PackOptions& options) {
  if (options.resize_short == 0 && !options.quality) return sample;
  const Image image = decode(sample.bytes, sample.name);
  const bool small = options.resize_short == 0 || std::min(image.width, image.height) <= options.resize_short;
  if (small && !options.quality) return sample;
  const Image made = shrunk(image, options.resize_short);
  sample.bytes = scenes::encode_jpeg(made.pixels, static_cast<int>(made.width), static_cast<int>(made.height),
                                     options.quality.value_or(kQuality));
  return sample;
}

// What the container is made of and how: a pack that goes on has to agree.
std::string job_of(const Source& source, const PackOptions& options) {
  std::string name = source.name();
  std::ranges::replace(name, '\n', ' ');
  return fmt::format("{} pictures of {}, resize-short {}, quality {}, shards of {} bytes", source.size(),
                     name, options.resize_short, options.quality.value_or(0), options.shard_bytes);
}

class Packer {
 public:
  Packer(const Source& source, const PackOptions& options) : source_(source), options_(options) {}

  // Samples [first, last) as they go into the container, without those that cannot be read.
  std::vector<Sample> prepare(std::int64_t first, std::int64_t last) {
    const auto count = static_cast<std::size_t>(last - first);
    std::vector<std::optional<Sample>> made(count);
    std::vector<std::string> errors(count);
    tensor::cpu::parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = static_cast<std::size_t>(i);
        try {
          made[at] = packed(source_.read(first + i), options_);
        } catch (const Error& error) {
          errors[at] = error.what();
        }
      }
    });
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < count; ++i) {
      if (made[i]) samples.push_back(std::move(*made[i]));
      if (!made[i] && options_.on_message) options_.on_message(errors[i] + ": left out");
    }
    return samples;
  }

  // Reads a container again. Throws Error where it does not hold the entries, with `to_delete`, what there is
  // of it: no run mends a container, each would end with the same error.
  void verify(const fs::path& container, const std::vector<PackedEntry>& entries,
              const fs::path& to_delete) const {
    try {
      compare(container, entries);
    } catch (const Error& error) {
      fail("{}; what was packed is damaged, delete {} to pack it anew", error.what(), to_delete.string());
    }
  }

  void progress(std::int64_t done, std::int64_t of, const char* what) const {
    if (options_.on_progress) options_.on_progress(done, of, what);
  }

 private:
  void compare(const fs::path& container, const std::vector<PackedEntry>& entries) const {
    const auto written = open_source(container, {.format = options_.to});
    const auto count = std::ssize(entries);
    check(written->size() == count, "{}: holds {} pictures after {} were written", container.string(),
          written->size(), count);
    for (std::int64_t first = 0; first < count; first += kAtOnce) {
      const std::int64_t last = std::min(first + kAtOnce, count);
      tensor::cpu::parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = first + begin; i < first + end; ++i) {
          const Sample sample = written->read(i);
          const auto& entry = entries[static_cast<std::size_t>(i)];
          check(crc_of(sample.bytes) == entry.crc && sample.label == entry.label,
                "{}: picture {} ({}) is not what was written", container.string(), i, entry.name);
        }
      });
      progress(last, count, "verified");
    }
  }

  const Source& source_;
  const PackOptions& options_;
};

}  // namespace

PackResult pack(const Source& source, const fs::path& container, const PackOptions& options) {
  check(options.to == "lmdb" || options.to == "tar", "pack: format '{}' is unknown, expected lmdb or tar",
        options.to);
  const bool lmdb = options.to == "lmdb";
  const std::string job = job_of(source, options);
  Packer packer(source, options);
  PackResult result;
  std::error_code error;
  if (fs::exists(container, error)) {  // a run that was killed at its very end has nothing left to do
    const auto entries = lmdb ? find_lmdb_pack(container, job) : find_tar_pack(container, job);
    check(entries.has_value(), "{}: is there already, and is no pack of these pictures", container.string());
    packer.verify(container, *entries, container);
    fs::remove_all(partial_path(container), error);
    result.resumed = source.size();
    result.pictures = std::ssize(*entries);
    result.skipped = source.size() - result.pictures;
    return result;
  }
  const auto writer =
      lmdb ? open_lmdb_writer(container, job) : open_tar_writer(container, job, options.shard_bytes);
  result.resumed = writer->state().next;
  while (writer->state().next < source.size()) {
    if (options.should_stop && options.should_stop()) {
      result.stopped = true;
      return result;
    }
    const std::int64_t first = writer->state().next;
    const std::int64_t last = std::min(first + kAtOnce, source.size());
    writer->append(packer.prepare(first, last), last);
    packer.progress(last, source.size(), "packed");
  }
  const std::vector<PackedEntry> entries = writer->state().entries;
  result.pictures = std::ssize(entries);
  result.skipped = source.size() - result.pictures;
  check(!entries.empty(), "{}: none of its {} pictures can be read", source.name(), source.size());
  packer.verify(writer->complete(), entries, partial_path(container));
  writer->publish();
  return result;
}

}  // namespace dcl::data
