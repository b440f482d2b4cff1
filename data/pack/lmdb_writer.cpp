// An LMDB database that grows: every append is one transaction, which is there whole or not at all. While it
// grows it has, beside the pictures, "__job__", "__next__" and, for each append, "__part__N" with the entries
// from picture N on; finish() makes "__len__", "__keys__" and "__meta__" of them.
#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <utility>

#include <lmdb.h>
#include <nlohmann/json.hpp>

#include "data/json_number.h"
#include "data/lmdb_source.h"
#include "data/pack/writer.h"
#include "tensor/check.h"

namespace dcl::data {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::size_t kFirstMap = std::size_t{1} << 30;

std::string part_key(std::int64_t first) { return "__part__" + std::to_string(first); }

class LmdbWriter final : public PackWriter {
 public:
  LmdbWriter(fs::path container, const std::string& job)
      : container_(std::move(container)), file_(partial_path(container_)) {
    try {
      open();
      if (!resume(job)) restart(job);
    } catch (...) {
      mdb_env_close(environment_);
      throw;
    }
  }
  ~LmdbWriter() override {
    if (environment_ != nullptr) mdb_env_close(environment_);
  }
  LmdbWriter(const LmdbWriter&) = delete;
  LmdbWriter& operator=(const LmdbWriter&) = delete;

  const PackState& state() const override { return state_; }

  void append(std::span<const Sample> samples, std::int64_t next) override {
    std::vector<PackedEntry> entries;
    for (const auto& sample : samples) entries.push_back({sample.name, sample.label, crc_of(sample.bytes)});
    const auto first = std::ssize(state_.entries);
    write([&](MDB_txn* transaction) {
      for (std::size_t i = 0; i < samples.size(); ++i)
        put(transaction, std::to_string(first + static_cast<std::int64_t>(i)), samples[i].bytes);
      put(transaction, part_key(first), entries_text(entries));
      put(transaction, "__next__", std::to_string(next));
    });
    state_.next = next;
    state_.entries.insert(state_.entries.end(), entries.begin(), entries.end());
  }

  fs::path complete() override {
    const auto count = std::ssize(state_.entries);
    json keys = json::array();
    json meta{{"names", json::array()}, {"source", job_}, {"samples", state_.next}};
    meta["pack"] = entries_text(state_.entries);
    for (std::int64_t i = 0; i < count; ++i) {
      keys.push_back(std::to_string(i));
      meta["names"].push_back(state_.entries[static_cast<std::size_t>(i)].name);
    }
    if (std::ranges::any_of(state_.entries, [](const auto& entry) { return entry.label != kNoLabel; })) {
      meta["labels"] = json::array();
      for (const auto& entry : state_.entries) meta["labels"].push_back(entry.label);
    }
    write([&](MDB_txn* transaction) {
      for (const auto& key : keys_starting_with(transaction, "__part__")) remove(transaction, key);
      for (const char* key : {"__job__", "__next__"}) remove(transaction, key);
      put(transaction, "__keys__", keys.dump());
      put(transaction, "__meta__", meta.dump(-1, ' ', false, json::error_handler_t::replace));
      put(transaction, "__len__", std::to_string(count));
    });
    mdb_env_close(std::exchange(environment_, nullptr));
    return file_;
  }

  void publish() override { fs::rename(file_, container_); }

 private:
  void must(int status) const { check(status == 0, "{}: {}", file_.string(), mdb_strerror(status)); }

  void open() {
    must(mdb_env_create(&environment_));
    must(mdb_env_set_mapsize(environment_, map_));
    const int status = mdb_env_open(environment_, file_.c_str(), MDB_NOSUBDIR | MDB_NOLOCK, 0644);
    if (status == MDB_INVALID || status == MDB_VERSION_MISMATCH) {  // not what we left there
      mdb_env_close(environment_);
      environment_ = nullptr;
      fs::remove(file_);
      must(mdb_env_create(&environment_));
      must(mdb_env_set_mapsize(environment_, map_));
      must(mdb_env_open(environment_, file_.c_str(), MDB_NOSUBDIR | MDB_NOLOCK, 0644));
      return;
    }
    must(status);
    MDB_envinfo info{};
    must(mdb_env_info(environment_, &info));
    map_ = std::max(map_, info.me_mapsize);
  }

  // One transaction; where the map is full it is doubled and the transaction done again.
  void write(const std::function<void(MDB_txn*)>& body) {
    for (;;) {
      MDB_txn* transaction = nullptr;
      must(mdb_txn_begin(environment_, nullptr, 0, &transaction));
      full_ = false;
      try {
        must(mdb_dbi_open(transaction, nullptr, 0, &table_));
        body(transaction);
      } catch (...) {
        mdb_txn_abort(transaction);
        throw;
      }
      int status = MDB_MAP_FULL;
      if (full_) {
        mdb_txn_abort(transaction);
      } else {
        status = mdb_txn_commit(transaction);
      }
      if (status == 0) return;
      if (status != MDB_MAP_FULL) must(status);
      map_ *= 2;
      must(mdb_env_set_mapsize(environment_, map_));
    }
  }

  template <class Bytes>
  void put(MDB_txn* transaction, std::string key, const Bytes& bytes) {
    if (full_) return;
    MDB_val k{key.size(), key.data()};
    MDB_val v{bytes.size(), const_cast<void*>(static_cast<const void*>(bytes.data()))};  // NOLINT: only read
    const int status = mdb_put(transaction, table_, &k, &v, 0);
    if (status == MDB_MAP_FULL) {
      full_ = true;
    } else {
      must(status);
    }
  }

  void remove(MDB_txn* transaction, std::string key) {
    if (full_) return;
    MDB_val k{key.size(), key.data()};
    const int status = mdb_del(transaction, table_, &k, nullptr);
    full_ = status == MDB_MAP_FULL;
    if (!full_ && status != MDB_NOTFOUND) must(status);
  }

  std::optional<std::string> get(MDB_txn* transaction, std::string key) const {
    MDB_val k{key.size(), key.data()};
    MDB_val v{};
    const int status = mdb_get(transaction, table_, &k, &v);
    if (status == MDB_NOTFOUND) return std::nullopt;
    must(status);
    return std::string(static_cast<const char*>(v.mv_data), v.mv_size);
  }

  std::vector<std::string> keys_starting_with(MDB_txn* transaction, const std::string& start) const {
    std::vector<std::string> keys;
    MDB_cursor* cursor = nullptr;
    must(mdb_cursor_open(transaction, table_, &cursor));
    std::string text = start;
    MDB_val k{text.size(), text.data()};
    MDB_val v{};
    for (int status = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); status == 0;
         status = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
      std::string key(static_cast<const char*>(k.mv_data), k.mv_size);
      if (!key.starts_with(start)) break;
      keys.push_back(std::move(key));
    }
    mdb_cursor_close(cursor);
    return keys;
  }

  // Takes up what an earlier process has left; false where that is another job's, or makes no sense.
  bool resume(const std::string& job) {
    job_ = job;
    bool same = false;
    write([&](MDB_txn* transaction) {
      if (const auto meta = get(transaction, "__meta__")) {  // complete, but not published
        same = take_meta(*meta);
        return;
      }
      const auto next = get(transaction, "__next__");
      if (get(transaction, "__job__") != job || !next) return;
      state_ = {};
      const auto [end, error] = std::from_chars(next->data(), next->data() + next->size(), state_.next);
      if (error != std::errc() || state_.next < 0) return;
      for (auto part = get(transaction, part_key(0)); part;
           part = get(transaction, part_key(std::ssize(state_.entries)))) {
        const auto entries = entries_in(*part);
        if (!entries || entries->empty()) return;
        state_.entries.insert(state_.entries.end(), entries->begin(), entries->end());
      }
      same = std::ssize(state_.entries) <= state_.next;
    });
    return same;
  }

  bool take_meta(const std::string& text) {
    try {
      const json meta = json::parse(text);
      if (meta.at("source") != job_) return false;
      state_ = {whole_number<std::int64_t>(meta.at("samples")),
                parse_entries(meta.at("pack").get<std::string>())};
    } catch (const std::exception&) {  // nothing that this program writes
      return false;
    }
    return std::ssize(state_.entries) <= state_.next;
  }

  static std::optional<std::vector<PackedEntry>> entries_in(const std::string& text) {
    try {
      return parse_entries(text);
    } catch (const Error&) {  // likewise
      return std::nullopt;
    }
  }

  void restart(const std::string& job) {
    state_ = {};
    write([&](MDB_txn* transaction) {
      must(mdb_drop(transaction, table_, 0));
      put(transaction, "__job__", job);
      put(transaction, "__next__", std::string("0"));
    });
  }

  fs::path container_;
  fs::path file_;
  std::string job_;
  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
  std::size_t map_ = kFirstMap;
  bool full_ = false;  // in the transaction under way
  PackState state_;
};

}  // namespace

std::optional<std::vector<PackedEntry>> find_lmdb_pack(const fs::path& container, const std::string& job) {
  try {
    const json meta = json::parse(LmdbSource(container).meta());
    if (meta.value("source", "") != job) return std::nullopt;
    return parse_entries(meta.value("pack", ""));
  } catch (const std::exception&) {  // no database, no meta, another's meta
    return std::nullopt;
  }
}

std::unique_ptr<PackWriter> open_lmdb_writer(const fs::path& container, const std::string& job) {
  return std::make_unique<LmdbWriter>(container, job);
}

}  // namespace dcl::data
