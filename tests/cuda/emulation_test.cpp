// The emulation itself: only where kernels are C++ on the host.
#ifdef DCL_CUDA_EMULATED
#include <array>
#include <vector>

#include "tensor/cuda/kernel.h"
#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using namespace tensor::cuda;  // NOLINT: the language of kernels

void number(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = static_cast<int>(thread);
}

TEST(CudaEmulation, RunsEveryThreadOfEveryBlockOnce) {
  std::vector<int> out(2 * 3 * 2 * 24, -1);
  launch("number", number, {.grid = dim3(2, 3, 2), .block = dim3(4, 3, 2)}, out.data());
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], static_cast<int>(i % 24));
  launch("number", number, {.grid = dim3(0), .block = dim3(1)}, out.data());
}

// Each thread hands its number to its neighbour through shared memory, in dynamic memory that was poisoned.
void hand_on(unsigned* out, bool* poisoned) {
  auto* box = dynamic_shared<unsigned>();
  if (box[threadIdx.x] != 0xFFFFFFFFU) *poisoned = false;
  box[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = box[(threadIdx.x + 1) % blockDim.x];
}

TEST(CudaEmulation, BarriersHold) {
  std::vector<unsigned> out(3 * 100);
  bool poisoned = true;
  launch("hand_on", hand_on, {.grid = dim3(3), .block = dim3(100), .shared_bytes = 400}, out.data(),
         &poisoned);
  EXPECT_TRUE(poisoned);
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], (i % 100 + 1) % 100);
}

void shuffles(std::int64_t* out) {
  const std::int64_t mine = threadIdx.x * 10;
  out[threadIdx.x] = __shfl_xor_sync(kAllLanes, mine, 1);
  out[64 + threadIdx.x] = __shfl_down_sync(kAllLanes, mine, 3);
  out[128 + threadIdx.x] = __shfl_sync(kAllLanes, mine, 5, 8);
  out[192 + threadIdx.x] = __ballot_sync(kAllLanes, threadIdx.x % 3 == 0);
  out[256 + threadIdx.x] = block_sum<64>(mine);
  out[320 + threadIdx.x] = warp_max(mine);
}

TEST(CudaEmulation, WarpsExchange) {
  std::vector<std::int64_t> out(6 * 64);
  launch("shuffles", shuffles, {.grid = dim3(1), .block = dim3(64)}, out.data());
  for (std::int64_t i = 0; i < 64; ++i) {
    const auto at = [&](std::int64_t k) { return out[static_cast<std::size_t>(k * 64 + i)]; };
    EXPECT_EQ(at(0), (i ^ 1) * 10);
    EXPECT_EQ(at(1), (i % 32 + 3 < 32 ? i + 3 : i) * 10);
    EXPECT_EQ(at(2), (i / 8 * 8 + 5) * 10);
    std::int64_t votes = 0;
    for (std::int64_t lane = 0; lane < 32; ++lane)
      if ((i / 32 * 32 + lane) % 3 == 0) votes |= std::int64_t{1} << lane;
    EXPECT_EQ(at(3), votes);
    EXPECT_EQ(at(4), 63 * 64 / 2 * 10);
    EXPECT_EQ(at(5), (i / 32 * 32 + 31) * 10);
  }
}

void half_at_a_barrier(int* /*out*/) {
  if (threadIdx.x < 16) __syncwarp();
}

TEST(CudaEmulation, BarriersThatNobodyReachesAreFound) {
  int out = 0;
  expect_error([&] { launch("halves", half_at_a_barrier, {.grid = dim3(1), .block = dim3(32)}, &out); },
               {"halves", "waits for lane 16"});
}

void at_two_barriers(int* /*out*/) {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

TEST(CudaEmulation, ThreadsAtTwoBarriersAreFound) {
  int out = 0;
  expect_error([&] { launch("two", at_two_barriers, {.grid = dim3(1), .block = dim3(32)}, &out); },
               {"two", "different barriers"});
}

void strided(std::int64_t n, int* counts) {
  for (const std::int64_t i : grid_stride(n)) counts[i] += 1;
}

TEST(CudaEmulation, GridStrideMeetsEachItemOnce) {
  for (const std::int64_t n : {0, 1, 31, 1000}) {
    std::vector<int> counts(static_cast<std::size_t>(n) + 1);
    launch("strided", strided, {.grid = blocks_for(n, 32), .block = dim3(32)}, n, counts.data());
    for (std::int64_t i = 0; i < n; ++i) EXPECT_EQ(counts[static_cast<std::size_t>(i)], 1);
    EXPECT_EQ(counts.back(), 0);
  }
}

}  // namespace
}  // namespace dcl::test
#endif
