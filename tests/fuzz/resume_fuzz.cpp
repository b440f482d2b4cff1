// What an interrupted densecl_pack has left behind. What holds: where it makes no sense the pack begins anew,
// without an error; otherwise no more pictures are packed than samples are done; and either way the next
// picture can be packed.
//
// The input: the journal of an archive or of shards, or, by its last byte, one value of a database.
#include <array>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "data/pack/writer.h"
#include "tensor/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/pictures.h"

namespace dcl::fuzz {

namespace fs = std::filesystem;

namespace {

constexpr const char* kJob = "job";
constexpr const char* kArchive = "an archive";
constexpr const char* kShards = "shards";
constexpr std::array<const char*, 5> kKeys = {kArchive, "__next__", "__part__0", "__meta__", kShards};

// A value as the input that stands for it.
Bytes seed(std::string_view text, std::uint8_t key) {
  Bytes bytes = bytes_of(text);
  bytes.push_back(key);  // Choices reads from the end, the high byte first
  bytes.push_back(0);
  return bytes;
}

void go_on(data::PackWriter& writer) {
  const data::PackState before = writer.state();
  hold(before.next >= std::ssize(before.entries), "no more pictures are packed than samples are done");
  const data::Sample sample{"1.jpg", bytes_of("bytes"), 1};
  writer.append({&sample, 1}, before.next + 1);
  hold(writer.state().entries.size() == before.entries.size() + 1, "one more picture is packed");
}

// The last line of the journal is of the append just done: nothing lies behind what it tells of.
void hold_archives(const fs::path& folder) {
  std::ifstream in(folder / "journal.jsonl", std::ios::binary);
  std::string last;
  for (std::string line; std::getline(in, line);) last = line;
  const auto told = nlohmann::json::parse(last);
  const fs::path shard = folder / fmt::format("{:06}.tar", told.at("shard").get<std::int64_t>());
  hold(fs::file_size(shard) == told.at("bytes").get<std::uintmax_t>(),
       "an archive is as long as its journal says");
  for (const auto& entry : fs::directory_iterator(folder))
    hold(entry.path().extension() != ".tar" || entry.path() <= shard, "no shard lies behind the last");
}

}  // namespace

std::vector<Bytes> seeds() {
  return {
      seed("job\n", 0),
      seed(
          "job\n{\"shard\":0,\"bytes\":1536,\"next\":2,\"entries\":\"[[\\\"1.jpg\\\",1,7]]\"}\n{\"shard\":1,",
          0),
      // One number each that makes no sense: none hides another.
      seed("job\n{\"shard\":0,\"bytes\":-512,\"next\":2,\"entries\":\"[]\"}\n", 0),
      seed("job\n{\"shard\":-1,\"bytes\":512,\"next\":2,\"entries\":\"[]\"}\n", 0),
      seed("job\n{\"shard\":0,\"bytes\":512,\"next\":-2,\"entries\":\"[]\"}\n", 0),
      seed("job\n{\"shard\":0,\"bytes\":1e300,\"next\":2,\"entries\":\"[]\"}\n", 0), seed("other job\n", 0),
      // Shards: the first is full, the next was begun; one that cannot have a next.
      seed("job\n{\"shard\":0,\"bytes\":1536,\"next\":2,\"entries\":\"[[\\\"1.jpg\\\",1,7]]\"}\n", 4),
      seed("job\n{\"shard\":1,\"bytes\":512,\"next\":2,\"entries\":\"[]\"}\n", 4),
      seed("job\n{\"shard\":9223372036854775807,\"bytes\":1024,\"next\":0,\"entries\":\"[]\"}\n", 4),
      seed("2", 1), seed("-2", 1), seed(R"([["1.jpg",1,7],["2.jpg",-1,8]])", 2),
      seed(R"({"source":"job","samples":2,"pack":"[[\"1.jpg\",1,7]]"})", 3),
      seed(R"({"source":"job","samples":0,"pack":"[[\"1.jpg\",1,7]]"})", 3),
      seed(R"({"source":"job","samples":-2,"pack":[]})", 3), seed(R"({"source":5,"samples":"x"})", 3)};
}

void run(View input) {
  static const test::TemporaryFolder folder;
  for (const auto& left : fs::directory_iterator(folder.path())) fs::remove_all(left.path());
  Choices choices(input);
  const char* key = kKeys[static_cast<std::size_t>(choices.upto(std::ssize(kKeys) - 1))];
  try {
    if (key == kArchive || key == kShards) {
      const fs::path partial = folder.path() / "x.tar.partial";
      folder.write("x.tar.partial/journal.jsonl", choices.rest());
      folder.write("x.tar.partial/000000.tar", Bytes(2048));
      if (key == kShards)
        for (const char* name : {"000001.tar", "000002.tar"})
          folder.write(std::string("x.tar.partial/") + name, Bytes(700));
      const auto writer = data::open_tar_writer(folder.path() / "x.tar", kJob, key == kShards ? 1024 : 0);
      go_on(*writer);
      hold_archives(partial);
    } else {
      write_lmdb(folder.path() / "x.lmdb.partial",
                 {{"__job__", kJob}, {"__next__", "3"}, {key, text_of(choices.rest())}});
      go_on(*data::open_lmdb_writer(folder.path() / "x.lmdb", kJob));
    }
  } catch (const Error& error) {
    hold(false, error.what());
  }
}

}  // namespace dcl::fuzz
