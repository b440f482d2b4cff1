#include "tensor/cuda/emulated/device.h"

#include <array>
#include <memory>
#include <vector>

#include <ucontext.h>

#include "tensor/check.h"
#include "tensor/cuda/emulated/stream.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace dcl::tensor::cuda::emulated {
namespace {

constexpr std::size_t kStackBytes = std::size_t{64} << 10;
constexpr unsigned kLanes = 32;
constexpr unsigned kMostThreads = 1024;

enum class State : std::uint8_t { ready, at_block_barrier, at_warp_barrier, ended };

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack;  // NOLINT: raw memory
  dim3 thread;
  State state = State::ended;
  unsigned mask = 0;           // whom it waits for at a warp's barrier
  std::uint64_t shown = 0;     // to the others of its warp
  void* fake_stack = nullptr;  // of the address sanitizer
};

// One grid at a time in a thread of the host.
class Grid {
 public:
  void run(const char* op, dim3 grid, dim3 block, std::size_t shared_bytes,
           const std::function<void()>& thread) {
    const unsigned threads = block.x * block.y * block.z;
    check(threads >= 1 && threads <= kMostThreads, "{}: a block of {} threads, expected 1 to {}", op, threads,
          kMostThreads);
    op_ = op;
    thread_ = &thread;
    gridDim = grid;
    blockDim = block;
    for (unsigned z = 0; z < grid.z; ++z)
      for (unsigned y = 0; y < grid.y; ++y)
        for (unsigned x = 0; x < grid.x; ++x) {
          blockIdx = {x, y, z};
          shared_.assign(shared_bytes / sizeof(Line) + 1, Line{});
          std::memset(shared_.data(), 0xFF, shared_.size() * sizeof(Line));
          run_block(threads);
        }
  }

  void* shared() { return shared_.data(); }
  unsigned lane() const { return current_ % kLanes; }
  std::uint64_t shown_by(unsigned lane) const { return fibers_[current_ / kLanes * kLanes + lane].shown; }

  void show(std::uint64_t value) { fibers_[current_].shown = value; }

  void wait(State state, unsigned mask) {
    Fiber& fiber = fibers_[current_];
    fiber.state = state;
    fiber.mask = mask;
    leave(&fiber.fake_stack);
    swapcontext(&fiber.context, &scheduler_);
    arrived(fiber.fake_stack);
  }

 private:
  struct alignas(16) Line {
    std::array<std::byte, 16> bytes;
  };

  void run_block(unsigned threads) {
    if (fibers_.size() < threads) fibers_.resize(threads);
    threads_ = threads;
    for (unsigned i = 0; i < threads; ++i) start(i);
    unsigned alive = threads;
    while (alive > 0) {
      bool moved = false;
      for (unsigned i = 0; i < threads; ++i) {
        if (fibers_[i].state != State::ready) continue;
        moved = true;
        resume(i);
        if (fibers_[i].state == State::ended) --alive;
      }
      for (unsigned warp = 0; warp * kLanes < threads; ++warp) moved = release_warp(warp * kLanes) || moved;
      moved = release_block() || moved;
      check(moved || alive == 0, "{}: the threads of a block wait for each other at different barriers", op_);
    }
  }

  void start(unsigned i) {
    Fiber& fiber = fibers_[i];
    if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStackBytes);  // NOLINT: raw memory
    fiber.thread = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    fiber.state = State::ready;
    fiber.fake_stack = nullptr;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Grid::enter, 0);
  }

  static void enter();

  void resume(unsigned i) {
    current_ = i;
    threadIdx = fibers_[i].thread;
#ifdef __SANITIZE_ADDRESS__
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, fibers_[i].stack.get(), kStackBytes);
#endif
    swapcontext(&scheduler_, &fibers_[i].context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  }

  // The sanitizer is told of every switch; null for a fiber that ends.
  void leave([[maybe_unused]] void** fake_stack) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fake_stack, host_stack_, host_stack_bytes_);
#endif
  }
  void arrived([[maybe_unused]] void* fake_stack) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, &host_stack_, &host_stack_bytes_);
#endif
  }

  // Lanes that wait go on when all whom they wait for are there; one that has ended never will be.
  bool release_warp(unsigned first) {
    const unsigned count = std::min(kLanes, threads_ - first);
    for (unsigned i = 0; i < count; ++i) {
      if (fibers_[first + i].state != State::at_warp_barrier) continue;
      const unsigned mask = fibers_[first + i].mask;
      check((mask >> i & 1U) != 0, "{}: lane {} waits at a warp's barrier for others than itself", op_, i);
      bool all = true;
      for (unsigned j = 0; j < kLanes; ++j) {
        if ((mask >> j & 1U) == 0) continue;
        check(j < count && fibers_[first + j].state != State::ended,
              "{}: a warp's barrier waits for lane {}, which has ended or never was", op_, j);
        all = all && fibers_[first + j].state == State::at_warp_barrier && fibers_[first + j].mask == mask;
      }
      if (!all) continue;
      for (unsigned j = 0; j < count; ++j)
        if ((mask >> j & 1U) != 0) fibers_[first + j].state = State::ready;
      return true;
    }
    return false;
  }

  bool release_block() {
    bool any = false;
    for (unsigned i = 0; i < threads_; ++i) {
      if (fibers_[i].state == State::ready || fibers_[i].state == State::at_warp_barrier) return false;
      any = any || fibers_[i].state == State::at_block_barrier;
    }
    for (unsigned i = 0; i < threads_; ++i)
      if (fibers_[i].state == State::at_block_barrier) fibers_[i].state = State::ready;
    return any;
  }

  const char* op_ = "";
  const std::function<void()>* thread_ = nullptr;
  std::vector<Fiber> fibers_;
  std::vector<Line> shared_;
  ucontext_t scheduler_{};
  unsigned threads_ = 0;
  unsigned current_ = 0;
  [[maybe_unused]] const void* host_stack_ = nullptr;
  [[maybe_unused]] std::size_t host_stack_bytes_ = 0;
};

Grid& grid_of_thread() {
  thread_local Grid grid;
  return grid;
}

void Grid::enter() {
  Grid& grid = grid_of_thread();
  grid.arrived(nullptr);
  (*grid.thread_)();
  grid.fibers_[grid.current_].state = State::ended;
  grid.leave(nullptr);
}

}  // namespace

void run(const char* op, dim3 grid, dim3 block, std::size_t shared_bytes,
         const std::function<void()>& thread) {
  submit([=] { grid_of_thread().run(op, grid, block, shared_bytes, thread); });
}

void* dynamic_shared_memory() { return grid_of_thread().shared(); }
void block_barrier() { grid_of_thread().wait(State::at_block_barrier, 0); }
void warp_barrier(unsigned mask) { grid_of_thread().wait(State::at_warp_barrier, mask); }
void show(std::uint64_t value) { grid_of_thread().show(value); }
std::uint64_t shown_by(unsigned lane) { return grid_of_thread().shown_by(lane); }
unsigned lane() { return grid_of_thread().lane(); }

}  // namespace dcl::tensor::cuda::emulated
