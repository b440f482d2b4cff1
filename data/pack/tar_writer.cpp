// Tar archives that grow, in WebDataset's layout: 000000012.jpg is the picture of sample 12, 000000012.cls
// its label, 000000012.json its name. They grow in a folder beside a journal: a line an append, written and
// synced after the archive itself, so what the journal tells of is whole; the rest, shards that it does not
// know among it, goes when the pack is taken up again.
#include <algorithm>
#include <array>
#include <fstream>
#include <functional>

#include <fcntl.h>
#include <nlohmann/json.hpp>

#include "data/json_number.h"
#include "data/pack/writer.h"
#include "data/tar_source.h"
#include "tensor/check.h"
#include "tensor/io/file_descriptor.h"
#include "tensor/io/list_folder.h"

namespace dcl::data {

namespace fs = std::filesystem;
using nlohmann::json;
using tensor::io::FileDescriptor;
using tensor::io::throw_system_error;

namespace {

constexpr std::size_t kBlock = 512;
constexpr const char* kAbout = "densecl_pack.json";  // the last member: the job, and what was packed
constexpr const char* kJournal = "journal.jsonl";
constexpr std::int64_t kMostMember = (std::int64_t{1} << 33) - 1;  // eleven octal digits

// A file for appending, made where it is missing.
class Appender {
 public:
  explicit Appender(const fs::path& path)
      : name_(path.string()),
        descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    if (descriptor_.get() < 0) throw_system_error(name_, "cannot be opened");
  }
  void write(std::string_view bytes) {
    if (!tensor::io::write_all(descriptor_.get(), bytes.data(), bytes.size()))
      throw_system_error(name_, "cannot be written");
  }
  void cut(std::int64_t size) {
    if (::ftruncate(descriptor_.get(), size) != 0) throw_system_error(name_, "cannot be cut");
  }
  void sync() {
    if (::fsync(descriptor_.get()) != 0) throw_system_error(name_, "cannot be synced");
  }

 private:
  std::string name_;
  FileDescriptor descriptor_;
};

// A ustar header and the bytes, filled up to whole blocks. No owner and no time: the same pictures, the same
// archive.
void add_member(std::string& archive, const std::string& name, std::string_view bytes) {
  check(std::ssize(bytes) <= kMostMember, "{}: {} bytes are too many for a tar archive", name, bytes.size());
  std::array<char, kBlock> header{};
  const auto field = [&](std::size_t at, const std::string& text) {
    std::ranges::copy(text, header.begin() + static_cast<std::ptrdiff_t>(at));
  };
  field(0, name);
  field(100, "0000644");
  field(108, "0000000");
  field(116, "0000000");
  field(124, fmt::format("{:011o}", bytes.size()));
  field(136, "00000000000");
  field(148, "        ");
  field(156, "0");
  field(257, "ustar");
  field(263, "00");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  field(148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  archive.append(header.data(), header.size());
  archive += bytes;
  archive.append((kBlock - bytes.size() % kBlock) % kBlock, '\0');
}

bool is_png(std::span<const std::uint8_t> bytes) {
  constexpr std::array<std::uint8_t, 4> start{0x89, 'P', 'N', 'G'};
  return bytes.size() >= 4 && std::equal(start.begin(), start.end(), bytes.begin());
}

void add_sample(std::string& archive, std::int64_t index, const Sample& sample) {
  const std::string key = fmt::format("{:09}", index);
  const json about{{"name", sample.name}};
  if (sample.label != kNoLabel) add_member(archive, key + ".cls", std::to_string(sample.label));
  add_member(archive, key + ".json", about.dump(-1, ' ', false, json::error_handler_t::replace));
  add_member(archive, key + (is_png(sample.bytes) ? ".png" : ".jpg"),
             {reinterpret_cast<const char*>(sample.bytes.data()), sample.bytes.size()});
}

class TarWriter final : public PackWriter {
 public:
  TarWriter(fs::path container, const std::string& job, std::int64_t shard_bytes)
      : container_(std::move(container)),
        folder_(partial_path(container_)),
        job_(job),
        shard_bytes_(shard_bytes) {
    fs::create_directories(folder_);
    if (!resume()) restart();
  }

  const PackState& state() const override { return state_; }

  void append(std::span<const Sample> samples, std::int64_t next) override {
    if (shard_bytes_ > 0 && bytes_ >= shard_bytes_) {
      close_shard();
      ++shard_;
      bytes_ = 0;
    }
    std::string archive;
    std::vector<PackedEntry> entries;
    for (const auto& sample : samples) {
      add_sample(archive, std::ssize(state_.entries) + std::ssize(entries), sample);
      entries.push_back({sample.name, sample.label, crc_of(sample.bytes)});
    }
    Appender out(shard_path(shard_));
    out.write(archive);
    out.sync();
    bytes_ += std::ssize(archive);
    const json line{{"shard", shard_}, {"bytes", bytes_}, {"next", next}, {"entries", entries_text(entries)}};
    Appender journal(journal_path());
    journal.write(line.dump() + "\n");
    journal.sync();
    state_.next = next;
    state_.entries.insert(state_.entries.end(), entries.begin(), entries.end());
  }

  fs::path complete() override {
    std::string about;
    const json text{{"source", job_}, {"pack", entries_text(state_.entries)}};
    add_member(about, kAbout, text.dump());
    Appender out(shard_path(shard_));
    out.cut(bytes_);
    out.write(about);
    out.write(std::string(2 * kBlock, '\0'));
    out.sync();
    return shard_bytes_ > 0 ? folder_ : shard_path(0);
  }

  void publish() override {
    if (shard_bytes_ > 0) {
      fs::rename(folder_, container_);
      fs::remove(container_ / kJournal);  // or by who finds the pack, after a kill in between
      return;
    }
    fs::rename(shard_path(0), container_);
    fs::remove_all(folder_);
  }

 private:
  fs::path shard_path(std::int64_t shard) const { return folder_ / fmt::format("{:06}.tar", shard); }
  fs::path journal_path() const { return folder_ / kJournal; }

  // Two empty blocks, and no more: a shard that is closed twice after a kill is cut to its length first.
  void close_shard() {
    Appender out(shard_path(shard_));
    out.cut(bytes_);
    out.write(std::string(2 * kBlock, '\0'));
    out.sync();
  }

  void remove_shards(const std::function<bool(const fs::path&)>& which) const {
    std::error_code error;
    for (const auto& path : tensor::io::list_folder(folder_, error))
      if (path.extension() == ".tar" && which(path)) fs::remove(path);
    check(!error, "{}: {}", folder_.string(), error.message());
  }

  // Takes up what an earlier process has left: what it wrote behind the journal's last line is cut off, and
  // the shards that it began after it are removed. False where that is another job's, or makes no sense.
  bool resume() {
    std::ifstream in(journal_path(), std::ios::binary);
    std::string line;
    if (!std::getline(in, line) || in.eof() || line != job_) return false;
    std::int64_t whole = std::ssize(line) + 1;
    try {
      while (std::getline(in, line) && !in.eof()) {  // a last line without its end was cut off
        const json each = json::parse(line);
        auto entries = parse_entries(each.at("entries").get<std::string>());
        shard_ = whole_number<std::int64_t>(each.at("shard"));
        bytes_ = whole_number<std::int64_t>(each.at("bytes"));
        state_.next = whole_number<std::int64_t>(each.at("next"));
        state_.entries.insert(state_.entries.end(), entries.begin(), entries.end());
        whole += std::ssize(line) + 1;
      }
    } catch (const std::exception&) {
      return false;
    }
    if (shard_ < 0 || bytes_ < 0 || state_.next < std::ssize(state_.entries)) return false;
    const bool begun = whole > std::ssize(job_) + 1;
    std::error_code error;
    const auto size = static_cast<std::int64_t>(fs::file_size(shard_path(shard_), error));
    if (begun && (error || size < bytes_)) return false;
    Appender(journal_path()).cut(whole);
    Appender(shard_path(shard_)).cut(bytes_);
    remove_shards([&](const fs::path& shard) { return shard > shard_path(shard_); });
    return true;
  }

  void restart() {
    state_ = {};
    shard_ = 0;
    bytes_ = 0;
    remove_shards([](const fs::path&) { return true; });
    fs::remove(journal_path());
    Appender journal(journal_path());
    journal.write(job_ + "\n");
    journal.sync();
  }

  fs::path container_;
  fs::path folder_;
  std::string job_;
  std::int64_t shard_bytes_;
  std::int64_t shard_ = 0;
  std::int64_t bytes_ = 0;  // of the shard, without its end
  PackState state_;
};

}  // namespace

std::optional<std::vector<PackedEntry>> find_tar_pack(const fs::path& container, const std::string& job) {
  try {
    fs::path shard = container;
    if (fs::is_directory(container)) {
      for (std::int64_t i = 0; fs::exists(container / fmt::format("{:06}.tar", i)); ++i)
        shard = container / fmt::format("{:06}.tar", i);
    }
    const std::vector<std::uint8_t> bytes = read_last_member(shard, kAbout);
    const json about = json::parse(bytes);
    if (about.at("source") != job) return std::nullopt;
    auto entries = parse_entries(about.at("pack").get<std::string>());
    if (fs::is_directory(container)) fs::remove(container / kJournal);
    return entries;
  } catch (const std::exception&) {  // not one of ours
    return std::nullopt;
  }
}

std::unique_ptr<PackWriter> open_tar_writer(const fs::path& container, const std::string& job,
                                            std::int64_t shard_bytes) {
  return std::make_unique<TarWriter>(container, job, shard_bytes);
}

}  // namespace dcl::data
