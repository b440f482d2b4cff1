#include "densecl/checkpoint_folder.h"

#include <algorithm>
#include <charconv>

#include <unistd.h>

#include "densecl/replace_file.h"
#include "tensor/io/file_descriptor.h"
#include "tensor/io/list_folder.h"

namespace dcl::densecl {

namespace fs = std::filesystem;
using tensor::io::throw_system_error;

namespace {

constexpr std::string_view kEnding = ".safetensors";

// Reads a number without leading zeros off the front of `text`.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 1 || text.front() == '0') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

struct Found {
  std::int64_t epoch = 0;  // done
  std::int64_t iteration = 0;
  fs::path path;
  bool operator<(const Found& other) const {
    return std::pair(epoch, iteration) < std::pair(other.epoch, other.iteration);
  }
};

std::optional<Found> parse_name(const fs::path& path) {
  const std::string name = path.filename().string();
  std::string_view rest = name;
  if (!take(rest, "epoch_")) return std::nullopt;
  const auto epoch = take_number(rest);
  if (!epoch) return std::nullopt;
  if (rest == kEnding) return Found{*epoch, 0, path};
  if (!take(rest, "_iter_")) return std::nullopt;
  const auto iteration = take_number(rest);
  if (!iteration || rest != kEnding) return std::nullopt;
  return Found{*epoch - 1, *iteration, path};
}

// What can be listed; a folder that cannot be read, or that breaks off, shows when it is written.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  return tensor::io::list_folder(folder, error);
}

// Oldest first.
std::vector<Found> find_all(const fs::path& folder) {
  std::vector<Found> all;
  for (const auto& entry : entries_of(folder))
    if (auto found = parse_name(entry)) all.push_back(std::move(*found));
  std::sort(all.begin(), all.end());
  return all;
}

// Other hidden files of the folder are somebody else's.
bool is_interrupted_save(const fs::path& path) {
  const auto file = target_of_temporary(path);
  return file && (file->filename() == kLatest || parse_name(*file).has_value());
}

}  // namespace

std::string checkpoint_name(const Position& position) {
  if (position.iteration == 0) return fmt::format("epoch_{}{}", position.epoch, kEnding);
  return fmt::format("epoch_{}_iter_{}{}", position.epoch + 1, position.iteration, kEnding);
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  auto all = find_all(folder);
  std::error_code error;
  const fs::path target = fs::read_symlink(folder / kLatest, error);
  const auto latest =
      std::find_if(all.begin(), all.end(), [&](const Found& each) { return each.path.filename() == target; });
  if (!error && latest != all.end()) all.erase(std::next(latest), all.end());
  std::vector<fs::path> paths;
  for (auto each = all.rbegin(); each != all.rend(); ++each) paths.push_back(each->path);
  return paths;
}

bool holds_checkpoints(const fs::path& folder) {
  std::error_code error;
  return !find_all(folder).empty() ||
         fs::symlink_status(folder / kLatest, error).type() != fs::file_type::not_found;
}

void remove_interrupted_saves(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : entries_of(folder))
    if (is_interrupted_save(entry)) fs::remove(entry, error);
}

void remove_checkpoints(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / kLatest, error);
  check(!error, "{}: cannot be removed ({})", (folder / kLatest).string(), error.message());
  for (const auto& each : find_all(folder)) {
    fs::remove(each.path, error);
    check(!error, "{}: cannot be removed ({})", each.path.string(), error.message());
  }
  remove_interrupted_saves(folder);
}

void link_latest(const fs::path& newest) {
  const fs::path latest = newest.parent_path() / kLatest;
  const fs::path temporary = temporary_for(latest);
  ::unlink(temporary.c_str());
  if (::symlink(newest.filename().c_str(), temporary.c_str()) != 0 ||
      ::rename(temporary.c_str(), latest.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary.c_str());
    errno = code;
    throw_system_error(latest.string(), "cannot be linked");
  }
  sync_folder_of(newest);
}

void prune_checkpoints(const fs::path& newest, std::int64_t keep) {
  const auto last = parse_name(newest);
  check(last.has_value(), "{}: not the name of a checkpoint", newest.string());
  auto all = find_all(newest.parent_path());
  std::erase_if(all, [&](const Found& each) { return *last < each; });
  const std::int64_t surplus = std::max<std::int64_t>(0, std::ssize(all) - keep);
  for (const auto& each : std::span(all).first(static_cast<std::size_t>(surplus))) {
    std::error_code error;
    fs::remove(each.path, error);  // one too many does no harm
  }
}

}  // namespace dcl::densecl
