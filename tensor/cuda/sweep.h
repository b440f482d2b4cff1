// One launch over many tensors, as if they lay one behind the other (twin of tensor/cpu/sweep.h): for updates
// of all parameters of a model, most of which are too small to be worth a launch each. The addresses travel
// in the kernel's parameters (4 KB: about a hundred tensors), so that nothing is copied to the device.
#pragma once

#include <span>

#include "tensor/cuda/kernel.h"

namespace dcl::tensor::cuda {

/// `count` arrays of `size` numbers that are worked on together.
template <class T, int count>
struct SweepEntry {
  T* data[count];
  std::int64_t size;
  std::int64_t first_chunk = 0;  // filled in by sweep()
};

template <class T, int count>
struct SweepTable {
  static constexpr int kMost = (4096 - 128) / sizeof(SweepEntry<T, count>);
  SweepEntry<T, count> entries[kMost];
  int used = 0;
  std::int64_t chunks = 0;  // of all entries

  /// The entry that a chunk belongs to: the last that begins with it or before.
  __device__ const SweepEntry<T, count>& entry_of(std::int64_t chunk) const {
    int entry = 0;
    for (int end = used; end - entry > 1;) {
      const int middle = (entry + end) / 2;
      if (entries[middle].first_chunk <= chunk)
        entry = middle;
      else
        end = middle;
    }
    return entries[entry];
  }
};

inline constexpr int kSweepThreads = 256;
template <class T>
inline constexpr int kSweepWidth = static_cast<int>(16 / sizeof(T));
template <class T>
inline constexpr std::int64_t kSweepChunk = std::int64_t{4} * kSweepThreads * kSweepWidth<T>;

/// step(values) for `width` numbers of each array, from `at` on.
template <int width, class T, int count, class Step>
__device__ void sweep_numbers(const SweepEntry<T, count>& entry, std::int64_t at, const Step& step) {
  Pack<T, width> packs[count];
  for (int i = 0; i < count; ++i)
    if (Step::reads(i)) packs[i] = load_pack<width>(entry.data[i] + at);
  for (int k = 0; k < width; ++k) {
    T values[count];
    for (int i = 0; i < count; ++i) values[i] = Step::reads(i) ? packs[i].values[k] : T(0);
    step(values);
    for (int i = 0; i < Step::kWritten; ++i) packs[i].values[k] = values[i];
  }
  for (int i = 0; i < Step::kWritten; ++i) store_pack(entry.data[i] + at, packs[i]);
}

template <class T, int count, class Step>
__global__ void __launch_bounds__(kSweepThreads, 4) sweep_tensors(SweepTable<T, count> table, Step step) {
  step.begin();
  for (std::int64_t chunk = blockIdx.x; chunk < table.chunks; chunk += gridDim.x) {
    const SweepEntry<T, count>& entry = table.entry_of(chunk);
    const std::int64_t begin = (chunk - entry.first_chunk) * kSweepChunk<T>;
    const std::int64_t end = begin + kSweepChunk<T> < entry.size ? begin + kSweepChunk<T> : entry.size;
    std::uintptr_t addresses = 0;
    for (int i = 0; i < count; ++i) addresses |= reinterpret_cast<std::uintptr_t>(entry.data[i]);
    constexpr int kWidth = kSweepWidth<T>;
    const std::int64_t packed = addresses % 16 == 0 ? begin + (end - begin) / kWidth * kWidth : begin;
    for (std::int64_t at = begin + std::int64_t{threadIdx.x} * kWidth; at < packed;
         at += std::int64_t{kSweepThreads} * kWidth)
      sweep_numbers<kWidth>(entry, at, step);
    for (std::int64_t at = packed + threadIdx.x; at < end; at += kSweepThreads)
      sweep_numbers<1>(entry, at, step);
  }
}

/// Calls step(values) for each number of the entries; values[i] is the number of array i. The first
/// Step::kWritten arrays take what it leaves there, those for which Step::reads(i) is false are not read.
/// step.begin() comes before, once a thread.
template <class T, int count, class Step>
void sweep(const char* op, std::span<const SweepEntry<T, count>> entries, const Step& step) {
  using Table = SweepTable<T, count>;
  static_assert(sizeof(Table) + sizeof(Step) <= 4096);
  while (!entries.empty()) {
    Table table{};
    for (; table.used < Table::kMost && !entries.empty(); entries = entries.subspan(1)) {
      if (entries.front().size == 0) continue;
      SweepEntry<T, count>& entry = table.entries[table.used++];
      entry = entries.front();
      entry.first_chunk = table.chunks;
      table.chunks += (entry.size + kSweepChunk<T> - 1) / kSweepChunk<T>;
    }
    launch(op, sweep_tensors<T, count, Step>,
           {.grid = blocks_for(table.chunks, 1), .block = dim3(kSweepThreads)}, table, step);
  }
}

}  // namespace dcl::tensor::cuda
