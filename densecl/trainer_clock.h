// Where a run's time goes. Times are for those who watch; nothing that is computed depends on them.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace dcl::densecl {

class TrainerClock {
 public:
  /// Around each step: start, then data_ready once its pictures are there, with the number of batches that
  /// the loader had ready, then end.
  void start_step();
  void data_ready(std::int64_t batches);
  /// Pictures of a later step were waited for within this one, while a device worked on it.
  void waited_ahead(double seconds) { window_data_ += seconds; }
  void end_step();

  /// Seconds a step, and seconds of waiting for pictures, beside a device's work or not: means since the last
  /// restart_window().
  double time() const { return per_step(window_); }
  double data_time() const { return per_step(window_data_); }
  /// Batches that were ready when one was asked for, likewise.
  double batches_ready() const { return per_step(window_ready_); }
  void restart_window();
  /// Seconds that `steps` more will take, by the mean over this process's whole run.
  double eta(std::int64_t steps) const;
  /// Seconds that the last step took; infinity before the first has ended.
  double last_step() const { return last_; }

 private:
  using Clock = std::chrono::steady_clock;
  double per_step(double sum) const {
    return window_steps_ == 0 ? 0 : sum / static_cast<double>(window_steps_);
  }

  Clock::time_point start_{};
  double last_ = std::numeric_limits<double>::infinity();
  double total_ = 0;  // seconds
  std::int64_t steps_ = 0;
  double window_ = 0;
  double window_data_ = 0;
  double window_ready_ = 0;  // batches
  std::int64_t window_steps_ = 0;
};

/// The most memory that this process has had resident so far, MiB.
std::int64_t peak_resident_mib();

}  // namespace dcl::densecl
