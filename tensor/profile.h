// Where the time of a computation goes, op by op. While nobody records, an op costs one look at a pointer.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dcl::tensor {

/// What one op was to do: floating-point operations of its plain formula (a faster algorithm may do fewer),
/// and the bytes that it cannot but read and write, each operand once.
struct Work {
  double flop = 0;
  double bytes = 0;
};

/// One call of an op, or a stretch of time with a name of its own (waiting for pictures).
struct ProfileEvent {
  std::string_view name;  // lives as long as the program
  std::string detail;     // "[16,56,56,64] * [64,3,3,64], stride 1"; empty where the op says nothing
  std::string_view part;  // of the computation (ProfilePart); empty: none has a name
  double start = 0;       // seconds since the recording began
  double seconds = 0;
  Work work;
};

/// Records every op that this thread runs while it lives. An inner one replaces the outer one.
class ProfileRecording {
 public:
  ProfileRecording();
  ~ProfileRecording();
  ProfileRecording(const ProfileRecording&) = delete;
  ProfileRecording& operator=(const ProfileRecording&) = delete;

  /// In the order in which they ended.
  const std::vector<ProfileEvent>& events() const { return events_; }
  /// Seconds since it began.
  double now() const;
  /// Forgets what was recorded, and begins anew.
  void restart();

 private:
  friend class ProfileScope;
  std::chrono::steady_clock::time_point start_;
  std::vector<ProfileEvent> events_;
  ProfileRecording* outer_;
};

/// A part of the computation with a name: events that begin on this thread while it lives belong to it, and
/// so do the gradients of what is recorded meanwhile (autograd/engine.cpp). An inner one replaces the outer
/// one.
class ProfilePart {
 public:
  explicit ProfilePart(std::string_view name);  // a literal; empty: no part
  ~ProfilePart();
  ProfilePart(const ProfilePart&) = delete;
  ProfilePart& operator=(const ProfilePart&) = delete;

  static std::string_view current();

 private:
  std::string_view outer_;
};

/// One event, from here to the end of the scope. Around each dispatched op (tensor/device.h); others may open
/// one too.
class ProfileScope {
 public:
  /// `call` is a literal; what follows its first "(" is not part of the name.
  explicit ProfileScope(std::string_view call);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  ProfileRecording* recording_;
  ProfileEvent* outer_ = nullptr;
  ProfileEvent event_;
};

/// True while this thread's ops are recorded: for ops that would otherwise build a detail that nobody reads.
bool profiling();
/// Called by an op: adds to the event that is open on this thread, if any is.
void count_work(const Work& work, std::string detail = {});

}  // namespace dcl::tensor
