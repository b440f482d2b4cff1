// A POSIX file descriptor that closes itself, and how a failed system call becomes an error.
#pragma once

#include <algorithm>
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

/// Writes all of it, in as many calls as it takes; false, with errno, when the system takes no more.
inline bool write_all(int descriptor, const void* bytes, std::size_t count) {
  const auto* at = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor, at, std::min(count, kMaxTransfer));
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;
    if (written <= 0) return false;
    at += written;
    count -= static_cast<std::size_t>(written);
  }
  return true;
}

/// Throws SystemError "PATH: WHAT (No space left on device)" from errno.
[[noreturn]] inline void throw_system_error(const std::string& path, const char* what) {
  const int code = errno;
  throw SystemError(fmt::format("{}: {} ({})", path, what, std::generic_category().message(code)), code);
}

}  // namespace dcl::tensor::io
