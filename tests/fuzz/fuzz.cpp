#include "tests/fuzz/fuzz.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include <lmdb.h>

#include "tensor/check.h"

namespace dcl::fuzz {

namespace fs = std::filesystem;

void hold(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << std::endl;
  std::abort();
}

Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

std::string text_of(View bytes) { return {bytes.begin(), bytes.end()}; }

Bytes golden(const std::string& name) {
  const fs::path path = fs::path(DCL_SOURCE_DIR) / "tests/golden" / name;
  std::ifstream in(path, std::ios::binary);
  check(in.is_open(), "{}: cannot be opened", path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_lmdb(const std::string& path, const std::vector<std::pair<std::string, std::string>>& values) {
  fs::remove(path);
  MDB_env* environment = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  hold(mdb_env_create(&environment) == 0 && mdb_env_set_mapsize(environment, std::size_t{1} << 26) == 0 &&
           mdb_env_open(environment, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600) == 0 &&
           mdb_txn_begin(environment, nullptr, 0, &transaction) == 0 &&
           mdb_dbi_open(transaction, nullptr, 0, &table) == 0,
       "LMDB makes a database");
  for (auto [key, value] : values) {
    MDB_val k{key.size(), key.data()};
    MDB_val v{value.size(), value.data()};
    hold(mdb_put(transaction, table, &k, &v, 0) == 0, "LMDB takes a value");
  }
  hold(mdb_txn_commit(transaction) == 0, "LMDB writes a database");
  mdb_env_close(environment);
}

std::int64_t Choices::upto(std::int64_t most) {
  std::int64_t number = 0;
  for (int i = 0; i < 2 && !rest_.empty(); ++i, rest_ = rest_.first(rest_.size() - 1))
    number = number * 256 + rest_.back();
  return number % (most + 1);
}

namespace {

void write_seeds(const fs::path& folder) {
  fs::create_directories(folder);
  int number = 0;
  for (const Bytes& seed : seeds()) {
    std::ofstream out(folder / fmt::format("seed_{:03}", number++), std::ios::binary);
    out.write(reinterpret_cast<const char*>(seed.data()), std::ssize(seed));
    check(out.good(), "{}: cannot be written", folder.string());
  }
}

}  // namespace

}  // namespace dcl::fuzz

// libFuzzer's names: called once before its main(), and for each input.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  ::setenv("DCL_ALLOCATOR", "plain", 0);  // the sanitizer sees each tensor's own memory
  if (*argc == 3 && std::string_view((*argv)[1]) == "--write-seeds") {
    dcl::fuzz::write_seeds((*argv)[2]);
    std::exit(0);
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    dcl::fuzz::run({data, size});
  } catch (const dcl::Error&) {
  }
  return 0;
}
