#include "tensor/cuda/pinned.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>

namespace dcl::tensor::cuda {

PinnedBuffer::PinnedBuffer(std::int64_t bytes) : bytes_(bytes) {
  void* block = nullptr;
  DCL_CUDA("pinned memory",
           cudaMallocHost(&block, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))));
  block_.reset(block);
}

void PinnedBuffer::Free::operator()(void* block) const { cudaFreeHost(block); }

Staging::Piece& Staging::next_piece() {
  if (!ring_) ring_ = std::make_unique<Ring>();
  Piece& piece = (*ring_)[next_];
  next_ = (next_ + 1) % ring_->size();
  piece.copied.wait();
  return piece;
}

void Staging::to_device(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  if (bytes <= kMostDirect) {
    DCL_CUDA("copy to the device",
             cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream));
    return;
  }
  const std::scoped_lock lock(mutex_);
  for (std::int64_t done = 0; done < bytes; done += kPiece) {
    const auto size = static_cast<std::size_t>(std::min(kPiece, bytes - done));
    Piece& piece = next_piece();
    std::memcpy(piece.buffer.data(), static_cast<const std::byte*>(from) + done, size);
    DCL_CUDA("copy to the device", cudaMemcpyAsync(static_cast<std::byte*>(to) + done, piece.buffer.data(),
                                                   size, cudaMemcpyHostToDevice, stream));
    piece.copied.record(stream);
  }
}

void Staging::to_host(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  if (bytes <= kMostDirect) {
    DCL_CUDA("copy to the host",
             cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream));
    DCL_CUDA("copy to the host", cudaStreamSynchronize(stream));
    return;
  }
  const std::scoped_lock lock(mutex_);
  const Piece* travelling = nullptr;  // holds the bytes from `there` to `done`
  std::int64_t there = 0;
  for (std::int64_t done = 0; there < bytes;) {
    const std::int64_t size = std::min(kPiece, bytes - done);
    Piece* piece = nullptr;
    if (size > 0) {
      piece = &next_piece();
      DCL_CUDA("copy to the host",
               cudaMemcpyAsync(piece->buffer.data(), static_cast<const std::byte*>(from) + done,
                               static_cast<std::size_t>(size), cudaMemcpyDeviceToHost, stream));
      piece->copied.record(stream);
    }
    if (travelling != nullptr) {
      travelling->copied.wait();
      std::memcpy(static_cast<std::byte*>(to) + there, travelling->buffer.data(),
                  static_cast<std::size_t>(done - there));
      there = done;
    }
    travelling = piece;
    done += size;
  }
}

Staging& staging(int device) {
  static std::mutex mutex;
  static auto* const all = new std::map<int, Staging>;  // never destroyed: the runtime may go first
  const std::scoped_lock lock(mutex);
  return (*all)[device];
}

}  // namespace dcl::tensor::cuda
