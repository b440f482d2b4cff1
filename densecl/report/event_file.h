// TensorBoard event files: scalars only, written without TensorFlow or protobuf.
//
// A file is a sequence of records (TFRecord): length (u64), masked CRC-32C of the length (u32), payload,
// masked CRC-32C of the payload (u32), all little-endian. A payload is a protobuf message `Event`
// (tensorflow/core/util/event.proto): wall_time = 1 (double), step = 2 (int64), and one of file_version = 3
// (string), summary = 5, session_log = 7. Summary: repeated value = 1 {tag = 1 (string), simple_value = 2
// (float)}. SessionLog: status = 1 (START is 1), at which TensorBoard forgets what older files hold from that
// step on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "densecl/report/line_file.h"

namespace dcl::densecl::report {

/// CRC-32C (Castagnoli), reflected, as in RFC 3720.
std::uint32_t crc32c(std::string_view bytes);
/// TFRecord's masking: rotated right by 15 bits, plus 0xA282EAD8.
std::uint32_t masked_crc32c(std::string_view bytes);
/// One framed record.
std::string tfrecord(std::string_view payload);

using Scalars = std::vector<std::pair<std::string, double>>;

/// Serialised `Event` messages; `wall_time` in seconds since 1970.
std::string version_event(double wall_time);
std::string session_start_event(double wall_time, std::int64_t step);
std::string scalars_event(double wall_time, std::int64_t step, const Scalars& scalars);

/// A new events.out.tfevents.TIME.HOST.PID.N in a folder.
class EventFile {
 public:
  /// `first_step` is the first that this run will write: above 0 it tells TensorBoard that a run was resumed.
  /// Throws dcl::Error when no file can be made.
  EventFile(const std::filesystem::path& folder, std::int64_t first_step);
  /// Throws dcl::Error when the file cannot be written; it then still ends with a whole record.
  void write(std::int64_t step, const Scalars& scalars);

 private:
  AppendFile file_;
};

/// Removes the event files of a folder: those of a run that is being replaced.
void remove_event_files(const std::filesystem::path& folder);

}  // namespace dcl::densecl::report
