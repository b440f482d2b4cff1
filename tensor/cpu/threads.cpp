#include "tensor/cpu/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <sched.h>

#include "tensor/check.h"

namespace dcl::tensor::cpu {

namespace {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

using Task = std::function<void(int)>;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waking a thread costs tens of microseconds, more than many an op; most rounds follow each other faster than
// that. So whoever waits looks for this long before it sleeps (not longer: others may want the processor). A
// step of ResNet-18 with 16 pictures, with 30, 200 and 1,000: 161, 170 and 173 pairs/s (medians of twelve).
constexpr std::chrono::microseconds kLook(100);

template <class Ready>
void look_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kLook;
  while (!ready()) {
    for (int i = 0; i < 16 && !ready(); ++i) pause_briefly();
    if (std::chrono::steady_clock::now() > end) return;
  }
}

// Ranges of parallel_for for each thread: a thread whose core is shared with another program is three times
// as slow at times.
constexpr std::int64_t kRanges = 8;

// What is left of each thread's share. The owner takes from the front, others from the back.
class Shares {
 public:
  Shares(std::int64_t n, int count) : shares_(static_cast<std::size_t>(count)) {
    for (int i = 0; i < count; ++i) at(i).range = pack(n * i / count, n * (i + 1) / count);
  }

  bool take(int owner, std::int64_t& item) {
    if (take_from(at(owner), true, item)) return true;
    const int count = static_cast<int>(shares_.size());
    for (int i = 1; i < count; ++i)
      if (take_from(at((owner + i) % count), false, item)) return true;
    return false;
  }

  bool empty() const {
    return std::all_of(shares_.begin(), shares_.end(), [](const Share& share) {
      const std::uint64_t range = share.range.load(std::memory_order_relaxed);
      return range >> 32 >= (range & 0xFFFFFFFF);
    });
  }

  static constexpr std::int64_t kMost = std::int64_t{1} << 32;

 private:
  struct alignas(64) Share {  // a cache line each
    std::atomic<std::uint64_t> range{0};
  };

  static std::uint64_t pack(std::int64_t begin, std::int64_t end) {
    return static_cast<std::uint64_t>(begin) << 32 | static_cast<std::uint64_t>(end);
  }
  Share& at(int i) { return shares_[static_cast<std::size_t>(i)]; }

  static bool take_from(Share& share, bool front, std::int64_t& item) {
    std::uint64_t range = share.range.load(std::memory_order_relaxed);
    while (true) {
      const auto begin = static_cast<std::int64_t>(range >> 32);
      const auto end = static_cast<std::int64_t>(range & 0xFFFFFFFF);
      if (begin >= end) return false;
      item = front ? begin : end - 1;
      const std::uint64_t rest = front ? pack(begin + 1, end) : pack(begin, end - 1);
      // Nothing but the range itself is handed over by it.
      if (share.range.compare_exchange_weak(range, rest, std::memory_order_relaxed)) return true;
    }
  }

  std::vector<Share> shares_;
};

class ItemsOf final : public Items {
 public:
  ItemsOf(Shares& shares, int owner) : shares_(shares), owner_(owner) {}
  bool take(std::int64_t& item) override { return shares_.take(owner_, item); }

 private:
  Shares& shares_;
  int owner_;
};

// Workers wait for a round number to move. task(0) alone would do all the work of a round: a worker that
// comes when it has ended is not waited for.
class Pool {
 public:
  explicit Pool(int threads) {
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& error) {
      const auto started = workers_.size() + 1;
      stop();
      fail("threads: only {} of {} can be started: {}", started, threads, error.code().message());
    }
  }
  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs task(0) here and, as far as workers are awake in time, task(1) … task(count-1). False when the pool
  // is busy.
  bool run(int count, const Task& task) {
    const std::unique_lock busy(busy_, std::try_to_lock);
    if (!busy.owns_lock()) return false;
    {
      const std::scoped_lock lock(mutex_);
      task_ = &task;
      count_ = count;
      error_ = nullptr;
      ++round_;
    }
    start_.notify_all();
    guarded(task, 0);
    {
      const std::scoped_lock lock(mutex_);
      task_ = nullptr;
    }
    look_until([this] { return running_ == 0; });
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return true;
  }

 private:
  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    start_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  void work(int index) {
    std::uint64_t seen = 0;
    while (true) {
      look_until([&] { return stop_ || round_ != seen; });
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
      if (index >= count_ || task_ == nullptr) continue;
      const Task* task = task_;
      ++running_;
      lock.unlock();
      guarded(*task, index);
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  void guarded(const Task& task, int index) {
    try {
      inside_ = true;
      task(index);
      inside_ = false;
    } catch (...) {
      inside_ = false;
      const std::scoped_lock lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

 public:
  static thread_local bool inside_;

 private:
  std::mutex busy_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  std::vector<std::thread> workers_;
  const Task* task_ = nullptr;
  int count_ = 0;
  // Changed under the mutex; atomic for those who look without it.
  std::atomic<int> running_ = 0;
  std::atomic<std::uint64_t> round_ = 0;
  std::atomic<bool> stop_ = false;
  std::exception_ptr error_;
};

thread_local bool Pool::inside_ = false;

std::atomic<int> wanted_threads{0};

Pool& pool() {
  static std::mutex mutex;
  static std::unique_ptr<Pool> instance;
  const std::scoped_lock lock(mutex);
  const int wanted = num_threads();
  if (!instance || instance->threads() != wanted) {
    instance.reset();
    instance = std::make_unique<Pool>(wanted);
  }
  return *instance;
}

}  // namespace

int num_threads() {
  const int wanted = wanted_threads.load();
  if (wanted > 0) return wanted;
  static const int available = available_processors();
  return available;
}

void set_num_threads(int count) {
  check(count >= 1, "threads: {} is not a number of threads, expected at least 1", count);
  wanted_threads.store(count);
}

std::int64_t dear_tasks() {
  const std::int64_t threads = num_threads();
  return threads == 1 ? 1 : 2 * threads;
}

std::int64_t row_tasks(bool with_sums) { return with_sums ? 8 : dear_tasks(); }

std::int64_t column_groups(std::int64_t columns, std::int64_t tasks, bool with_sums) {
  const std::int64_t wanted = with_sums ? dear_tasks() : num_threads();
  return std::min(columns, (wanted + tasks - 1) / tasks);
}

void parallel_items(std::int64_t n, const std::function<void(Items& items)>& body) {
  if (n <= 0) return;
  check(n < Shares::kMost, "threads: {} items, expected less than {}", n, Shares::kMost);
  const int count = static_cast<int>(std::min<std::int64_t>(num_threads(), n));
  Shares shares(n, count);
  const Task task = [&](int i) {
    if (i > 0 && shares.empty()) return;  // the body's set-up would be for nothing, and waited for
    ItemsOf items(shares, i);
    body(items);
  };
  if (count > 1 && !Pool::inside_ && pool().run(count, task)) return;
  task(0);
}

void parallel_ranges(std::int64_t n, std::int64_t count,
                     const std::function<void(std::int64_t begin, std::int64_t end)>& body) {
  if (n <= 0) return;
  const std::int64_t ranges = std::clamp<std::int64_t>(count, 1, n);
  if (ranges == 1) return body(0, n);
  parallel_items(ranges, [&](Items& items) {
    for (std::int64_t i = 0; items.take(i);) body(n * i / ranges, n * (i + 1) / ranges);
  });
}

void parallel_for(std::int64_t n, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body) {
  const std::int64_t threads = num_threads();
  const std::int64_t most = n / std::max<std::int64_t>(grain, 1);
  parallel_ranges(n, threads == 1 ? 1 : std::min(threads * kRanges, most), body);
}

void parallel_parts(int parts, const std::function<void(int part)>& body) {
  parallel_items(parts, [&](Items& items) {
    for (std::int64_t part = 0; items.take(part);) body(static_cast<int>(part));
  });
}

}  // namespace dcl::tensor::cpu
