// The threads that share an op's work.
#pragma once

#include <cstdint>
#include <functional>

namespace dcl::tensor::cpu {

/// Threads an op may use, the caller included. At first the number of processors this process may run on.
int num_threads();
/// Throws when `count` < 1. Not to be called while an op runs.
void set_num_threads(int count);

/// One thread's way to the items of a round. It begins with a share of its own, from the front; when that is
/// done it goes on with what other threads have not begun, from the back: a core that another program slows
/// down keeps nobody waiting.
class Items {
 public:
  virtual ~Items() = default;
  /// Takes an item that nobody has taken; false when there is none left.
  virtual bool take(std::int64_t& item) = 0;
};

/// A body takes items until there are none; where one throws, some may stay untaken.
/// Runs `body(items)` on at most num_threads() threads, one of them the calling one, until each item of [0,
/// n) has been taken once, and returns when all are done. Who takes an item is not determined: what is
/// computed of one must not depend on the others that the same thread took. Throws the first exception again,
/// and Error where the threads cannot be started. A call from inside another one, or while another thread's
/// is running, runs on the calling thread alone.
void parallel_items(std::int64_t n, const std::function<void(Items& items)>& body);

/// `body(begin, end)` of clamp(count, 1, n) ranges of [0, n) of about the same length, shared
/// out as parallel_items does.
void parallel_ranges(std::int64_t n, std::int64_t count,
                     const std::function<void(std::int64_t begin, std::int64_t end)>& body);

/// The same of ranges of at least `grain`, some for each thread; one where there is one thread. The ranges
/// depend on n, grain and num_threads() only, and so do the bits.
void parallel_for(std::int64_t n, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body);

/// Runs `body(part)` for part = 0 … parts-1; part p always sees the same work, whatever the number of
/// threads: for reductions whose bits must not depend on it.
void parallel_parts(int parts, const std::function<void(int part)>& body);

/// How many ranges or tasks to make where each has a set-up of its own to pay for: enough that the threads
/// end at about the same time, one where there is one thread.
std::int64_t dear_tasks();

/// How many tasks to cut the rows of a product into at least. Where sums over rows are kept for each task
/// (moment_sums.h), that must not depend on the number of threads, or their bits would: then it is eight, two
/// for each of four threads, and further threads share the columns (column_groups).
std::int64_t row_tasks(bool with_sums);
/// How many groups to cut `columns` into so that the threads share `tasks` tasks of rows.
std::int64_t column_groups(std::int64_t columns, std::int64_t tasks, bool with_sums);

}  // namespace dcl::tensor::cpu
