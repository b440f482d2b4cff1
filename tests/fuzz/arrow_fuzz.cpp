// Values as pyarrow.serialize wrote them. What holds: bytes in a value are a piece of the input, lists nest
// at most eight deep, and the input alone decides what comes out.
#include <lmdb.h>

#include "data/arrow_value.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

using data::ArrowValue;

namespace {

// The values of a database that are small enough to be changed with some effect, a few of each kind.
void add_values(const std::string& database, std::vector<Bytes>& values) {
  MDB_env* environment = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  hold(mdb_env_create(&environment) == 0 &&
           mdb_env_open(environment, database.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY, 0) == 0 &&
           mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction) == 0 &&
           mdb_dbi_open(transaction, nullptr, 0, &table) == 0,
       "the database can be opened");
  for (const std::string_view key : {"__keys__", "__len__", "0"}) {
    MDB_val name{key.size(), const_cast<char*>(key.data())};  // NOLINT: LMDB only reads it
    MDB_val value{};
    hold(mdb_get(transaction, table, &name, &value) == 0, "the database has the key");
    const auto* first = static_cast<const std::uint8_t*>(value.mv_data);
    values.emplace_back(first, first + value.mv_size);
  }
  mdb_txn_abort(transaction);
  mdb_env_close(environment);
}

bool same(const ArrowValue& a, const ArrowValue& b) {
  if (a.value.index() != b.value.index()) return false;
  if (const auto* bytes = a.bytes())
    return bytes->data() == b.bytes()->data() && bytes->size() == b.bytes()->size();
  if (const auto* list = a.list()) {
    if (list->size() != b.list()->size()) return false;
    for (std::size_t i = 0; i < list->size(); ++i)
      if (!same((*list)[i], (*b.list())[i])) return false;
    return true;
  }
  return a.integer() == nullptr || *a.integer() == *b.integer();
}

void look_into(const ArrowValue& value, View input, int depth) {
  hold(depth <= 8, "lists nest at most eight deep");
  if (const auto* bytes = value.bytes(); bytes != nullptr && !bytes->empty())
    hold(bytes->data() >= input.data() && bytes->data() + bytes->size() <= input.data() + input.size(),
         "bytes are a piece of the input");
  if (const auto* list = value.list())
    for (const ArrowValue& each : *list) look_into(each, input, depth + 1);
}

}  // namespace

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const char* name : {"coco", "imagenet"})
    add_values(std::string(DCL_SOURCE_DIR "/tests/golden/lmdb/") + name + ".lmdb", all);
  return all;
}

void run(View input) {
  const ArrowValue value = data::parse_arrow_value(input, "value");
  look_into(value, input, 0);
  hold(same(value, data::parse_arrow_value(input, "value")), "the same input gives the same value");
}

}  // namespace dcl::fuzz
