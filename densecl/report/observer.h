// What a training run tells the world, through one interface: the trainer calls it and knows nothing of log
// lines, progress bars, metrics files, TensorBoard or plots. Time and memory appear here and in what is
// written from here, never in checkpoints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dcl::densecl::report {

/// One training step. Counters are those of the log line: epochs and iterations from 1, steps from 0.
struct StepRecord {
  std::int64_t epoch = 1;            // from 1
  std::int64_t epochs = 1;           // of the whole run
  std::int64_t iter = 1;             // from 1, in the epoch
  std::int64_t iters_per_epoch = 1;  // steps an epoch has
  std::int64_t step = 0;             // from 0, over all epochs
  std::int64_t steps = 0;            // of the whole run; 0 stands for epochs * iters_per_epoch
  double lr = 0;                     // learning rate of this step
  double time = 0;                   // seconds a step, mean since the last log line
  // Seconds a step that the host waited for pictures, mean since the last log line; on a GPU it waits for
  // those of the next step while the device works on this one.
  double data_time = 0;
  double batches_ready = 0;     // prefetched when a step asked for its batch, mean since the last log line
  double eta_s = 0;             // seconds until the run ends, estimated
  std::int64_t memory_mib = 0;  // MiB; peak resident, on a GPU the most that tensors took
  double pictures_per_s = 0;    // pictures (pairs of views) over all ranks
  double queue_fill = 0;        // 0 to 1: how much of the queue is real keys
  double acc1 = 0;              // 0 to 1: top-1 of the global contrastive task
  std::int64_t replaced = 0;    // unreadable pictures replaced by another, so far
  /// In the order they are shown, weighted as in the loss, named loss_contra_single, loss_contra_dense, loss
  /// (DenseCL) or loss_contra, loss (MoCo-v2). The last one is the loss itself.
  std::vector<std::pair<std::string, double>> losses;
  bool log = false;  // this step gets a log line; other steps move the progress bar only
};

enum class Level { info, warning, error };

/// What a run shows. Calls come from one thread, in the order of the run; on rank 0 only.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Once, before the first step: the start-up block, several lines without a final newline.
  virtual void on_start(const std::string& block) = 0;
  /// After every step.
  virtual void on_step(const StepRecord& record) = 0;
  /// One line, without a newline, at any time: a checkpoint saved, a picture replaced, a signal received.
  virtual void on_message(Level level, std::string_view line) = 0;
  /// Once, after the last step, also of a run that is stopped early.
  virtual void on_finish() = 0;
};

}  // namespace dcl::densecl::report
