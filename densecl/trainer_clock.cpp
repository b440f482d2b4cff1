#include "densecl/trainer_clock.h"

#include <sys/resource.h>

namespace dcl::densecl {

namespace {
double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
}  // namespace

void TrainerClock::start_step() { start_ = Clock::now(); }

void TrainerClock::data_ready(std::int64_t batches) {
  window_data_ += seconds_since(start_);
  window_ready_ += static_cast<double>(batches);
}

void TrainerClock::end_step() {
  const double seconds = seconds_since(start_);
  last_ = seconds;
  total_ += seconds;
  window_ += seconds;
  ++steps_;
  ++window_steps_;
}

void TrainerClock::restart_window() {
  window_ = 0;
  window_data_ = 0;
  window_ready_ = 0;
  window_steps_ = 0;
}

double TrainerClock::eta(std::int64_t steps) const {
  return steps_ == 0 ? 0 : total_ / static_cast<double>(steps_) * static_cast<double>(steps);
}

std::int64_t peak_resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;  // Linux counts KiB
}

}  // namespace dcl::densecl
