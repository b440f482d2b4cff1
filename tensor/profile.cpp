#include "tensor/profile.h"

#include <utility>

namespace dcl::tensor {

namespace {
thread_local ProfileRecording* recording = nullptr;
thread_local ProfileEvent* open_event = nullptr;
thread_local std::string_view part;
}  // namespace

ProfileRecording::ProfileRecording()
    : start_(std::chrono::steady_clock::now()), outer_(std::exchange(recording, this)) {}

ProfileRecording::~ProfileRecording() { recording = outer_; }

double ProfileRecording::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void ProfileRecording::restart() {
  events_.clear();
  start_ = std::chrono::steady_clock::now();
}

ProfilePart::ProfilePart(std::string_view name) : outer_(std::exchange(part, name)) {}

ProfilePart::~ProfilePart() { part = outer_; }

std::string_view ProfilePart::current() { return part; }

ProfileScope::ProfileScope(std::string_view call) : recording_(recording) {
  if (recording_ == nullptr) return;
  event_.name = call.substr(0, call.find('('));
  event_.part = part;
  event_.start = recording_->now();
  outer_ = std::exchange(open_event, &event_);
}

ProfileScope::~ProfileScope() {
  if (recording_ == nullptr) return;
  open_event = outer_;
  event_.seconds = recording_->now() - event_.start;
  recording_->events_.push_back(std::move(event_));
}

bool profiling() { return open_event != nullptr; }

void count_work(const Work& work, std::string detail) {
  if (open_event == nullptr) return;
  open_event->work.flop += work.flop;
  open_event->work.bytes += work.bytes;
  if (!detail.empty()) open_event->detail = std::move(detail);
}

}  // namespace dcl::tensor
