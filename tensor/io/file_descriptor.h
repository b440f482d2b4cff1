// A POSIX file descriptor that closes itself, and how a failed system call becomes an error.
#pragma once

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>

#include <unistd.h>

#include "tensor/io/safetensors.h"

namespace dcl::tensor::io {

/// The most that one read or write asks for: Linux moves at most 2 GiB - 4 KiB a call.
inline constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;

class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  ~FileDescriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return descriptor_; }
  /// Closes it now; false, with errno, when the system reports a late error (a full disk over NFS, say).
  bool close() {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    return ::close(descriptor) == 0;
  }

 private:
  int descriptor_;
};

/// Throws SystemError "PATH: WHAT (No space left on device)" from errno.
[[noreturn]] inline void throw_system_error(const std::string& path, const char* what) {
  const int code = errno;
  throw SystemError(fmt::format("{}: {} ({})", path, what, std::generic_category().message(code)), code);
}

}  // namespace dcl::tensor::io
