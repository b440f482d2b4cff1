// Jumps between stacks are what it takes for a mistake.
#undef _FORTIFY_SOURCE
#include "tensor/cuda/emulated/device.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <deque>
#include <memory>
#include <string>
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

// A stack that the threads of a block run on, one after another; one that waits keeps it until it has ended.
struct Fiber {
  std::unique_ptr<char[]> stack;  // NOLINT: raw memory
  ucontext_t entry{};
  std::jmp_buf left{};  // where it gave way; a jump costs no system call, as swapcontext does
  bool entered = false;
  void* fake_stack = nullptr;  // of the address sanitizer
};

struct Thread {
  State state = State::ended;
  unsigned mask = 0;        // whom it waits for at a warp's barrier
  std::uint64_t shown = 0;  // to the others of its warp
  Fiber* fiber = nullptr;   // while it waits
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
    body_ = &thread;
    gridDim = grid;
    blockDim = block;
    threads_.resize(threads);
    for (unsigned z = 0; z < grid.z; ++z)
      for (unsigned y = 0; y < grid.y; ++y)
        for (unsigned x = 0; x < grid.x; ++x) {
          blockIdx = {x, y, z};
          shared_.assign(shared_bytes / sizeof(Line) + 1, Line{});
          std::memset(shared_.data(), 0xFF, shared_.size() * sizeof(Line));
          run_block();
        }
  }

  void* shared() { return shared_.data(); }
  unsigned lane() const { return current_ % kLanes; }
  std::uint64_t shown_by(unsigned lane) const { return threads_[current_ / kLanes * kLanes + lane].shown; }

  void show(std::uint64_t value) { threads_[current_].shown = value; }

  void wait(State state, unsigned mask) {
    threads_[current_] = {state, mask, threads_[current_].shown, running_};
    leave(*running_);
  }

 private:
  struct alignas(16) Line {
    std::array<std::byte, 16> bytes;
  };

  void run_block() {
    started_ = 0;
    while (started_ < threads_.size()) enter(idle_fiber());
    for (bool moved = true; moved;) {
      moved = false;
      for (unsigned i = 0; i < threads_.size(); ++i) {
        if (threads_[i].state != State::ready) continue;
        moved = true;
        choose(i);
        enter(*threads_[i].fiber);
      }
      for (unsigned warp = 0; warp * kLanes < threads_.size(); ++warp)
        moved = release_warp(warp * kLanes) || moved;
      moved = release_block() || moved;
    }
    const bool all = std::all_of(threads_.begin(), threads_.end(),
                                 [](const Thread& thread) { return thread.state == State::ended; });
    if (!all) give_up("the threads of a block wait for each other at different barriers");
  }

  void choose(unsigned i) {
    current_ = i;
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  }

  // What waits will never go on: its stacks are given up.
  [[noreturn]] void give_up(const std::string& why) {
    idle_.clear();
    fibers_.clear();
    fail("{}: {}", op_, why);
  }

  Fiber& idle_fiber() {
    if (idle_.empty()) {
      Fiber& fiber = fibers_.emplace_back();
      fiber.stack = std::make_unique<char[]>(kStackBytes);  // NOLINT: raw memory
      getcontext(&fiber.entry);
      fiber.entry.uc_stack.ss_sp = fiber.stack.get();
      fiber.entry.uc_stack.ss_size = kStackBytes;
      makecontext(&fiber.entry, &Grid::run_fiber, 0);
      idle_.push_back(&fiber);
    }
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return *fiber;
  }

  static void run_fiber();

  // On a fiber: threads that were not started yet, until one of them waits, and then until it has ended.
  void run_threads() {
    while (started_ < threads_.size()) {
      choose(started_++);
      (*body_)();
      threads_[current_].state = State::ended;
    }
    idle_.push_back(running_);
    leave(*running_);
  }

  // From the scheduler to a fiber, and back. The sanitizer is told of every switch.
  void enter(Fiber& fiber) {
    running_ = &fiber;
#ifdef __SANITIZE_ADDRESS__
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, fiber.stack.get(), kStackBytes);
#endif
    jump_in(fiber);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  }
  void jump_in(Fiber& fiber) {
#ifdef __SANITIZE_ADDRESS__  // which does not follow jumps between stacks
    swapcontext(&scheduler_context_, &fiber.entry);
#else
    if (_setjmp(scheduler_) != 0) return;
    if (fiber.entered) _longjmp(fiber.left, 1);
    fiber.entered = true;
    setcontext(&fiber.entry);
#endif
  }
  void leave(Fiber& fiber) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fiber.fake_stack, host_stack_, host_stack_bytes_);
    swapcontext(&fiber.entry, &scheduler_context_);
    arrived(fiber.fake_stack);
#else
    if (_setjmp(fiber.left) == 0) _longjmp(scheduler_, 1);
#endif
  }
  void arrived([[maybe_unused]] void* fake_stack) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, &host_stack_, &host_stack_bytes_);
#endif
  }

  // Lanes that wait go on when all whom they wait for are there; one that has ended never will be.
  bool release_warp(unsigned first) {
    const unsigned count = std::min(kLanes, static_cast<unsigned>(threads_.size()) - first);
    for (unsigned i = 0; i < count; ++i) {
      if (threads_[first + i].state != State::at_warp_barrier) continue;
      const unsigned mask = threads_[first + i].mask;
      if ((mask >> i & 1U) == 0)
        give_up(fmt::format("lane {} waits at a warp's barrier for others than itself", i));
      bool all = true;
      for (unsigned j = 0; j < kLanes; ++j) {
        if ((mask >> j & 1U) == 0) continue;
        if (j >= count || threads_[first + j].state == State::ended)
          give_up(fmt::format("a warp's barrier waits for lane {}, which has ended or never was", j));
        all = all && threads_[first + j].state == State::at_warp_barrier && threads_[first + j].mask == mask;
      }
      if (!all) continue;
      for (unsigned j = 0; j < count; ++j)
        if ((mask >> j & 1U) != 0) threads_[first + j].state = State::ready;
      return true;
    }
    return false;
  }

  bool release_block() {
    bool any = false;
    for (const Thread& thread : threads_) {
      if (thread.state == State::ready || thread.state == State::at_warp_barrier) return false;
      any = any || thread.state == State::at_block_barrier;
    }
    for (Thread& thread : threads_)
      if (thread.state == State::at_block_barrier) thread.state = State::ready;
    return any;
  }

  const char* op_ = "";
  const std::function<void()>* body_ = nullptr;
  std::vector<Thread> threads_;  // of the block
  unsigned started_ = 0;
  unsigned current_ = 0;
  std::deque<Fiber> fibers_;
  std::vector<Fiber*> idle_;
  Fiber* running_ = nullptr;
  std::vector<Line> shared_;
  std::jmp_buf scheduler_{};
  [[maybe_unused]] ucontext_t scheduler_context_{};
  [[maybe_unused]] const void* host_stack_ = nullptr;
  [[maybe_unused]] std::size_t host_stack_bytes_ = 0;
};

Grid& grid_of_thread() {
  thread_local Grid grid;
  return grid;
}

void Grid::run_fiber() {
  Grid& grid = grid_of_thread();
  grid.arrived(nullptr);
  while (true) grid.run_threads();
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
