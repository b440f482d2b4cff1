#include "data/lmdb_source.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include <lmdb.h>
#include <nlohmann/json.hpp>

#include "data/arrow_value.h"
#include "data/json_number.h"
#include "tensor/check.h"

namespace dcl::data {

namespace fs = std::filesystem;

using Bytes = std::span<const std::uint8_t>;
using nlohmann::json;

// A database that is open for reading. Readers share nothing but the map, so any number of threads may read.
class LmdbSource::Database {
 public:
  explicit Database(const fs::path& path) : name_(path.string()) {
    std::error_code error;
    const bool folder = fs::is_directory(path, error);
    const fs::path file = folder ? path / "data.mdb" : path;
    const auto bytes = fs::file_size(file, error);
    check(!error, "{}: {}", file.string(), error.message());
    check_status(mdb_env_create(&environment_));
    const int status = mdb_env_open(
        environment_, path.c_str(),
        MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD | (folder ? 0U : MDB_NOSUBDIR), 0444);
    if (status != 0) {
      mdb_env_close(environment_);
      fail("{}: not an LMDB database ({})", name_, mdb_strerror(status));
    }
    try {
      check_whole(bytes);
    } catch (...) {
      mdb_env_close(environment_);
      throw;
    }
  }
  ~Database() { mdb_env_close(environment_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Calls `use` with the value, which goes away afterwards; false where there is no such key.
  bool get(std::string_view key, const std::function<void(Bytes)>& use) const {
    const Transaction transaction(*this);
    MDB_dbi table = 0;
    check_status(mdb_dbi_open(transaction.handle, nullptr, 0, &table));
    MDB_val name{key.size(), const_cast<char*>(key.data())};  // NOLINT: LMDB only reads it
    MDB_val value{};
    const int status = mdb_get(transaction.handle, table, &name, &value);
    if (status == MDB_NOTFOUND) return false;
    check_status(status);
    use({static_cast<const std::uint8_t*>(value.mv_data), value.mv_size});
    return true;
  }

 private:
  struct Transaction {
    explicit Transaction(const Database& database) {
      database.check_status(mdb_txn_begin(database.environment_, nullptr, MDB_RDONLY, &handle));
    }
    ~Transaction() { mdb_txn_abort(handle); }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    MDB_txn* handle = nullptr;
  };

  void check_status(int status) const { check(status == 0, "{}: {}", name_, mdb_strerror(status)); }

  // The map reaches over pages that a cut-off file no longer has; touching one would end the program.
  void check_whole(std::uintmax_t bytes) const {
    MDB_envinfo info{};
    MDB_stat stat{};
    check_status(mdb_env_info(environment_, &info));
    check_status(mdb_env_stat(environment_, &stat));
    check(info.me_last_pgno < bytes / stat.ms_psize, "{}: cut off, it has {} bytes and needs {} pages of {}",
          name_, bytes, info.me_last_pgno + 1, stat.ms_psize);
  }

  std::string name_;
  MDB_env* environment_ = nullptr;
};

namespace {

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::optional<std::int64_t> decimal(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// The bytes, or (bytes, label).
Sample unwrap(Bytes value, const std::string& source) {
  const ArrowValue parsed = parse_arrow_value(value, source);
  const Bytes* bytes = parsed.bytes();
  std::int64_t label = kNoLabel;
  if (const ArrowList* list = parsed.list(); list != nullptr && list->size() == 2) {
    bytes = list->front().bytes();
    if (const std::int64_t* number = list->back().integer()) label = *number;
  }
  check(bytes != nullptr, "{}: holds no picture file, expected its bytes or (bytes, label)", source);
  return {"", {bytes->begin(), bytes->end()}, label};
}

template <class T>
std::vector<T> list_in(const json& meta, const char* key, std::int64_t size, const std::string& source) {
  if (!meta.is_object() || !meta.contains(key) || meta.at(key).is_null()) return {};
  std::vector<T> list;
  try {
    check(meta.at(key).is_array(), "{} is no array", key);
    for (const auto& each : meta.at(key)) {
      if constexpr (std::integral<T>)
        list.push_back(whole_number<T>(each));
      else
        list.push_back(each.template get<T>());
    }
  } catch (const std::exception& error) {
    fail("{}: __meta__ is broken: {}", source, error.what());
  }
  check(std::ssize(list) == size, "{}: __meta__ has {} {}, expected {}", source, list.size(), key, size);
  return list;
}

}  // namespace

LmdbSource::LmdbSource(const fs::path& path)
    : name_(path.string()), database_(std::make_unique<const Database>(path)) {
  const bool has_length = database_->get("__len__", [&](Bytes value) {
    const auto ours = decimal(text_of(value));
    authors_ = !ours.has_value();
    if (ours) {
      size_ = *ours;
      return;
    }
    const ArrowValue parsed = parse_arrow_value(value, name_ + ": __len__");
    check(parsed.integer() != nullptr && *parsed.integer() >= 0, "{}: __len__ is no number", name_);
    size_ = *parsed.integer();
  });
  check(has_length, "{}: has no __len__, expected a database of densecl_pack or of the authors' scripts",
        name_);
  check(size_ > 0, "{}: holds no picture", name_);
  if (authors_) return;
  database_->get("__meta__", [&](Bytes value) {
    const json meta = json::parse(text_of(value), nullptr, false);
    check(meta.is_object(), "{}: __meta__ is not JSON", name_);
    names_ = list_in<std::string>(meta, "names", size_, name_);
    labels_ = list_in<std::int64_t>(meta, "labels", size_, name_);
  });
}

LmdbSource::~LmdbSource() = default;

std::string LmdbSource::meta() const {
  std::string text;
  database_->get("__meta__", [&](Bytes value) { text = text_of(value); });
  return text;
}

Sample LmdbSource::read(std::int64_t index) const {
  check_index(index);
  const auto i = static_cast<std::size_t>(index);
  const std::string key = std::to_string(index);
  Sample sample;
  const bool found = database_->get(key, [&](Bytes value) {
    sample = authors_ ? unwrap(value, name_ + ": " + key) : Sample{"", {value.begin(), value.end()}};
  });
  check(found, "{}: key {} is missing", name_, key);
  sample.name = names_.empty() ? name_ + ":" + key : names_[i];
  if (!labels_.empty()) sample.label = labels_[i];
  return sample;
}

}  // namespace dcl::data
