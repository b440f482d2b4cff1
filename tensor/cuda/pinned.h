// Page-locked host memory: the only kind that a GPU reads and writes by itself, while the host does something
// else.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>

#include "tensor/cuda/handles.h"

namespace dcl::tensor::cuda {

/// A block of it. Locking pages takes milliseconds: make it once and keep it.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::int64_t bytes);
  void* data() const { return block_.get(); }
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(void* block) const;
  };
  std::unique_ptr<void, Free> block_;
  std::int64_t bytes_;
};

/// The way of ordinary host memory to and from a device, piece by piece through a ring of pinned buffers: one
/// piece travels while the next is copied. From any thread.
class Staging {
 public:
  /// Returns when `from` has been read; the last pieces may still be on their way.
  void to_device(void* to, const void* from, std::int64_t bytes, cudaStream_t stream);
  /// Returns when all is there.
  void to_host(void* to, const void* from, std::int64_t bytes, cudaStream_t stream);

 private:
  static constexpr std::int64_t kPiece = std::int64_t{4} << 20;
  // Smaller ones the driver takes along with the command, without waiting for what is before them in the
  // stream.
  static constexpr std::int64_t kMostDirect = std::int64_t{64} << 10;

  struct Piece {
    PinnedBuffer buffer{kPiece};
    Event copied;  // the device is done with the buffer
  };
  using Ring = std::array<Piece, 4>;
  Piece& next_piece();  // its buffer is free

  std::mutex mutex_;
  std::unique_ptr<Ring> ring_;  // made when first needed
  std::size_t next_ = 0;
};

/// That of a device, which is the current one.
Staging& staging(int device);

}  // namespace dcl::tensor::cuda
