// One long stretch of addresses from which blocks are cut and into which they are joined again. A training
// step stacks its activations up and takes them down in other sizes than it came with; blocks that each keep
// their size would leave a fifth of the memory to sizes that are not wanted at the moment.
#pragma once

#include <cstdint>
#include <map>

namespace dcl::tensor {

/// Not for several threads at once.
class Arena {
 public:
  /// Reserves `capacity` bytes of addresses; memory comes as they are written to. Where that many cannot be
  /// had it has none, and every allocate() fails.
  explicit Arena(std::int64_t capacity);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// The smallest free place that holds `bytes` bytes, the lowest of several, so that large places are left
  /// for large blocks; null when there is none. What nobody has used yet is the largest place of all, and
  /// comes last. `bytes` is a multiple of kGrain, and so are the addresses.
  void* allocate(std::int64_t bytes);
  void release(void* block, std::int64_t bytes);
  bool owns(const void* block) const;
  /// Bytes that are free and were in use before: memory that the system still counts.
  std::int64_t cached() const { return cached_; }
  /// Gives that memory back to the system.
  void release_cached();

  static constexpr std::int64_t kGrain = std::int64_t{64} << 10;

 private:
  struct Free {
    std::int64_t bytes = 0;
    std::int64_t used = 0;  // of them, so many from the start on may have been written to
  };
  std::byte* base_ = nullptr;
  std::int64_t capacity_ = 0;
  void* mapping_ = nullptr;
  std::int64_t cached_ = 0;
  std::map<std::int64_t, Free> free_;  // by offset; no two touch
};

}  // namespace dcl::tensor
