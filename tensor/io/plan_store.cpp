#include "tensor/io/plan_store.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

namespace dcl::tensor::cuda {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFormat = "dcl plan 1";

// FNV-1a, 64 bits: names files and finds damage; nobody is kept out by it.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

std::string_view name_of(PlanKind kind) {
  switch (kind) {
    case PlanKind::conv2d:
      return "conv2d";
    case PlanKind::conv2d_backward_input:
      return "conv2d_backward_input";
    case PlanKind::conv2d_backward_weight:
      return "conv2d_backward_weight";
  }
  return "?";
}

std::string in_one_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

}  // namespace

std::string PlanKey::str() const {
  return fmt::format("{} {} {}", name_of(kind), tensor::name_of(dtype), fmt::join(sizes, " "));
}

std::size_t PlanKeyHash::operator()(const PlanKey& key) const {
  std::uint64_t hash = 0;
  const auto mix = [&](auto value) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 32;
  };
  mix(key.kind);
  mix(key.dtype);
  mix(key.device);
  for (const std::int64_t size : key.sizes) mix(size);
  return static_cast<std::size_t>(hash);
}

PlanStore::PlanStore(fs::path folder, const std::string& library, const std::string& gpu)
    : folder_(std::move(folder)),
      origin_(fmt::format("{}\n{}\n{}\n", kFormat, in_one_line(library), in_one_line(gpu))) {}

fs::path PlanStore::path_of(const PlanKey& key) const {
  return folder_ / fmt::format("{:016x}.plan", hash_of(origin_ + key.str()));
}

// What stands before the length, the hash and the text of the plan.
std::string PlanStore::head_of(const PlanKey& key) const { return origin_ + key.str() + '\n'; }

std::optional<std::string> PlanStore::load(const PlanKey& key) const {
  if (folder_.empty()) return {};
  std::ifstream file(path_of(key), std::ios::binary);
  std::ostringstream read;
  if (!file || !(read << file.rdbuf())) return {};
  const std::string text = std::move(read).str();
  const std::string head = head_of(key);
  if (!text.starts_with(head)) return {};
  const std::size_t line_end = text.find('\n', head.size());
  if (line_end == std::string::npos) return {};
  std::string plan = text.substr(line_end + 1);
  if (text.substr(head.size(), line_end - head.size()) !=
      fmt::format("{} {:016x}", plan.size(), hash_of(plan)))
    return {};
  return plan;
}

bool PlanStore::save(const PlanKey& key, const std::string& plan) const {
  if (folder_.empty()) return false;
  std::error_code error;
  fs::create_directories(folder_, error);
  static std::atomic<unsigned> count{0};
  const fs::path path = path_of(key);
  const fs::path temporary = fmt::format("{}.{}.{}.tmp", path.string(), getpid(), count++);
  {
    std::ofstream file(temporary, std::ios::binary);
    file << head_of(key) << fmt::format("{} {:016x}\n", plan.size(), hash_of(plan)) << plan;
    file.close();
    if (!file) {
      fs::remove(temporary, error);
      return false;
    }
  }
  fs::rename(temporary, path, error);
  if (!error) return true;
  fs::remove(temporary, error);
  return false;
}

fs::path plan_folder() {
  if (const char* folder = std::getenv("DCL_PLAN_CACHE")) return folder;
  const auto set = [](const char* value) { return value != nullptr && *value != '\0'; };
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); set(cache)) return fs::path(cache) / "dcl";
  if (const char* home = std::getenv("HOME"); set(home)) return fs::path(home) / ".cache" / "dcl";
  return {};
}

}  // namespace dcl::tensor::cuda
