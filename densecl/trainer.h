// A training run from pictures to checkpoints: DenseCL or MoCo-v2 as TrainConfig says.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "densecl/checkpoint.h"
#include "densecl/config.h"
#include "densecl/model.h"
#include "densecl/report/observer.h"
#include "densecl/report/profile_report.h"
#include "densecl/trainer_clock.h"
#include "densecl/trainer_step.h"
#include "optim/sgd.h"

namespace dcl::tensor::cuda {
class UploadAhead;  // tensor/cuda/upload_ahead.h
}

namespace dcl::densecl {

/// How a run came to its end; what went wrong is an exception.
struct TrainResult {
  bool stopped = false;   // should_stop said so
  bool all_saved = true;  // false: a checkpoint could not be written
  Position position;
};

class Trainer {
 public:
  /// Opens the set, builds the model, reads the checkpoint to go on from and waits for the first batch:
  /// whatever can be wrong with a run shows here, before anything is written. `config` is resolved() and
  /// checked. Sets the number of compute threads.
  explicit Trainer(const TrainConfig& config);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// After a stop was asked for, a step may take this long to its end; saving and leaving need the rest of
  /// the thirty seconds that a cluster leaves a job.
  void set_patience(std::chrono::milliseconds patience) { patience_ = patience; }

  /// What is done already: zero, or where the checkpoint stands.
  const Position& position() const { return state_.position; }
  /// Steps that the run has in all.
  std::int64_t total_steps() const;
  /// What a reader of the log wants to know first, several lines.
  std::string start_block() const;

  /// Trains to the end, or until `should_stop` returns true: a step under way is finished where that takes no
  /// longer than the patience, and otherwise taken back. Saves into config.output_dir, which exists, every
  /// --save-freq epochs and at the end; a checkpoint that cannot be written is said and does not end the run.
  /// Throws Error, without saving, when a loss is not finite, naming the step and the first tensor that is
  /// not.
  TrainResult run(report::Observer& observer, const std::function<bool()>& should_stop);

 private:
  void resume(const Checkpoint& checkpoint);
  data::LoaderOptions loader_options();
  bool done() const { return state_.position.step >= total_steps(); }

  /// To the end of the epoch, or of the run. False when a step was abandoned.
  bool train_one_epoch(report::Observer& observer, const std::function<bool()>& should_stop);
  data::Batch load_batch(tensor::cuda::UploadAhead* ahead = nullptr);
  data::Batch next_batch();
  void read_ahead();
  void skip_or_stop(const StepResult& step, report::Observer& observer);
  void count(const data::Batch& batch, const StepResult& step);
  void finish_profile(report::Observer& observer);
  void report_step(const Position& at, const StepResult& step, report::Observer& observer);
  void save(report::Observer& observer);

  void say(report::Level level, std::string line);
  void flush_messages(report::Observer& observer);

  TrainConfig config_;
  std::shared_ptr<const data::Source> source_;
  std::int64_t iterations_;  // of an epoch
  ContrastiveModel model_;
  optim::Sgd optimizer_;
  TrainStep step_;
  RunState state_;
  TrainerClock clock_;
  std::string last_good_ = "none";      // the newest checkpoint's name
  std::optional<Position> save_tried_;  // where the last save was, whatever came of it
  bool all_saved_ = true;
  std::chrono::milliseconds patience_{10'000};

  std::optional<report::StepProfile> profile_;

  std::mutex messages_mutex_;
  std::vector<std::pair<report::Level, std::string>> messages_;  // from loader threads, and from before run()

  std::unique_ptr<data::Loader> loader_;   // last: its threads call say()
  std::optional<data::Batch> next_batch_;  // read before its step
  std::exception_ptr next_failed_;         // that could not be
  std::shared_ptr<tensor::cuda::UploadAhead> ahead_;
};

}  // namespace dcl::densecl
