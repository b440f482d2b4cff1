#include "densecl/report/event_file.h"

#include <array>
#include <bit>
#include <chrono>

#include <fmt/core.h>
#include <unistd.h>

namespace dcl::densecl::report {
namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit)
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kReflectedPolynomial : 0);
    table[byte] = remainder;
  }
  return table;
}

template <class T>
void append_little_endian(std::string& bytes, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes.push_back(static_cast<char>((value >> (8 * i)) & 0xFF));
}

// The few wire formats of protobuf that an Event needs. A field begins with (number << 3 | wire type).
class Message {
 public:
  Message& integer(int field, std::uint64_t value) {
    tag(field, 0);
    varint(value);
    return *this;
  }
  Message& float64(int field, double value) {
    tag(field, 1);
    append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
    return *this;
  }
  Message& float32(int field, float value) {
    tag(field, 5);
    append_little_endian(bytes_, std::bit_cast<std::uint32_t>(value));
    return *this;
  }
  /// A string, or a message inside this one.
  Message& bytes(int field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    bytes_.append(value);
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  std::string bytes_;

  void tag(int field, unsigned wire_type) { varint(static_cast<unsigned>(field) << 3U | wire_type); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>((value & 0x7F) | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
};

Message event(double wall_time, std::int64_t step) {
  Message message;
  message.float64(1, wall_time);
  if (step != 0) message.integer(2, static_cast<std::uint64_t>(step));
  return message;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The name sorts by time, as TensorBoard reads the files of a folder in the order of their names.
std::filesystem::path free_name(const std::filesystem::path& folder) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"localhost"};
  const auto time = static_cast<std::int64_t>(now());
  for (int n = 0;; ++n) {
    auto path = folder / fmt::format("{}{:010}.{}.{}.{}", kPrefix, time, host.data(), ::getpid(), n);
    if (!std::filesystem::exists(path)) return path;
  }
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

std::uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8; }

std::string tfrecord(std::string_view payload) {
  std::string record;
  append_little_endian(record, static_cast<std::uint64_t>(payload.size()));
  append_little_endian(record, masked_crc32c(record));
  record.append(payload);
  append_little_endian(record, masked_crc32c(payload));
  return record;
}

std::string version_event(double wall_time) { return event(wall_time, 0).bytes(3, "brain.Event:2").str(); }

std::string session_start_event(double wall_time, std::int64_t step) {
  return event(wall_time, step).bytes(7, Message().integer(1, 1).str()).str();
}

std::string scalars_event(double wall_time, std::int64_t step, const Scalars& scalars) {
  Message summary;
  for (const auto& [tag, value] : scalars)
    summary.bytes(1, Message().bytes(1, tag).float32(2, static_cast<float>(value)).str());
  return event(wall_time, step).bytes(5, summary.str()).str();
}

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t first_step)
    : file_(free_name(folder), AppendFile::Mode::create_new) {
  file_.write(tfrecord(version_event(now())));
  if (first_step > 0) file_.write(tfrecord(session_start_event(now(), first_step)));
}

void EventFile::write(std::int64_t step, const Scalars& scalars) {
  file_.write(tfrecord(scalars_event(now(), step, scalars)));
}

void remove_event_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename().string().starts_with(kPrefix))
      files.push_back(entry.path());
  for (const auto& file : files) std::filesystem::remove(file);
}

}  // namespace dcl::densecl::report
