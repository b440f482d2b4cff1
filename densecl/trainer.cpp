#include "densecl/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <sstream>
#include <utility>

#include "data/finish_batch.h"
#include "data/open_source.h"
#include "densecl/augment_config.h"
#include "densecl/expected_memory.h"
#include "tensor/check.h"
#include "tensor/cpu/threads.h"
#include "tensor/cuda/upload_ahead.h"

namespace dcl::densecl {

using report::Level;

namespace {

std::shared_ptr<const data::Source> open_source(const TrainConfig& config) {
  std::shared_ptr<const data::Source> source = data::open_source(
      config.data, {.format = config.data_format, .split = config.split, .root = config.data_root});
  check_against_set(config, source->size());
  return source;
}

// True once `should_stop` has been true for that long.
std::function<bool()> out_of_patience(const std::function<bool()>& should_stop,
                                      std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  return [&should_stop, patience, since = std::optional<Clock::time_point>()]() mutable {
    if (!should_stop()) return false;
    if (!since) since = Clock::now();
    return Clock::now() - *since >= patience;
  };
}

}  // namespace

Trainer::Trainer(const TrainConfig& config)
    : config_(config),
      source_(open_source(config)),
      iterations_(source_->size() / config.batch_size),
      model_((tensor::cpu::set_num_threads(static_cast<int>(config.threads)), model_options(config))),
      optimizer_(model_.parameters(), sgd_params(config)),
      step_(config_, iterations_, model_, optimizer_) {
  state_.pictures = source_->size();
  if (config_.profile) profile_.emplace();
  step_.on_no_graph([this](const std::string& why) {
    say(Level::warning, fmt::format("--cuda-graph auto: steps run op by op: {}", why));
  });
  const auto to_log = [&](std::string line) { say(Level::warning, std::move(line)); };
  if (const auto checkpoint = find_checkpoint(config_, to_log)) {
    check_same_run(*checkpoint, config_, state_.pictures, to_log);
    resume(*checkpoint);
  } else {
    model_.initialise(static_cast<std::uint64_t>(config_.seed));
  }
  if (done()) return;
  const std::int64_t part = config_.batch_size / config_.accumulate;
  // The views of the step, and where it is a graph two more of pictures that are read ahead.
  const std::int64_t pictures = (step_.as_graph() ? 3 : 2) * config_.batch_size;
  check_fits(model_, {config_.arch, config_.image_size, part, pictures}, config_.accumulate);
  loader_ = std::make_unique<data::Loader>(source_, loader_options());
  next_batch_ = load_batch();
}

Trainer::~Trainer() = default;

void Trainer::resume(const Checkpoint& checkpoint) {
  load_checkpoint(checkpoint, model_, optimizer_);
  state_ = checkpoint.state;
  last_good_ = checkpoint.path.filename().string();
  save_tried_ = state_.position;
  say(Level::info, fmt::format("resume: going on from {}, step {}", last_good_, state_.position.step));
}

data::LoaderOptions Trainer::loader_options() {
  data::LoaderOptions options;
  options.batch = config_.batch_size;
  options.augment = augment_options(config_);
  if (config_.aug_device == "cuda") options.views = data::ViewStage::crop;
  options.seed = static_cast<std::uint64_t>(config_.seed);
  options.workers = static_cast<int>(config_.workers);
  options.on_bad_image = config_.on_bad_image == "stop" ? data::OnBadImage::stop : data::OnBadImage::replace;
  options.first_epoch = state_.position.epoch;
  options.first_iteration = state_.position.iteration;
  options.on_message = [this](const std::string& line) { say(Level::warning, line); };
  return options;
}

std::int64_t Trainer::total_steps() const {
  const std::int64_t all = config_.epochs * iterations_;
  return std::min(all, config_.max_iters.value_or(all));
}

TrainResult Trainer::run(report::Observer& observer, const std::function<bool()>& should_stop) {
  observer.on_start(start_block());
  flush_messages(observer);
  const auto epoch_to_save = [&] {
    return state_.position.iteration == 0 && state_.position.epoch % config_.save_freq == 0;
  };
  bool stopped = false;
  while (!done() && !stopped) {
    stopped = !train_one_epoch(observer, should_stop) || should_stop();
    if (epoch_to_save() && !done() && !stopped) save(observer);
  }
  if (stopped && !done()) observer.on_message(Level::info, "stopped by a signal");
  if (profile_) finish_profile(observer);
  if (state_.position.step > 0 && save_tried_ != state_.position) save(observer);
  flush_messages(observer);
  observer.on_finish();
  return {stopped && !done(), all_saved_, state_.position};
}

bool Trainer::train_one_epoch(report::Observer& observer, const std::function<bool()>& should_stop) {
  const std::int64_t epoch = state_.position.epoch;
  while (state_.position.epoch == epoch && !done() && !should_stop()) {
    clock_.start_step();
    if (profile_) profile_->start_step();
    data::Batch batch = next_batch();
    clock_.data_ready(batch.ready);
    const Position at = state_.position;
    // Short steps need no way out; how long the first takes nobody knows.
    const bool may_abandon = clock_.last_step() > std::chrono::duration<double>(patience_).count() / 4;
    const StepResult step =
        step_.run(batch, at, may_abandon ? out_of_patience(should_stop, patience_) : nullptr, [&] {
          if (!should_stop()) read_ahead();
        });
    if (step.abandoned) {
      next_batch_ = std::move(batch);
      observer.on_message(Level::info,
                          fmt::format("step {} takes too long to wait for: taken back", at.step));
      return false;
    }
    count(batch, step);
    clock_.end_step();
    if (profile_ && profile_->end_step()) finish_profile(observer);
    flush_messages(observer);
    if (step.nonfinite) {
      skip_or_stop(step, observer);
    } else {
      report_step(at, step, observer);
    }
  }
  return true;
}

// Views that are finished on the device are of the type that the encoders would convert them to.
data::Batch Trainer::load_batch(tensor::cuda::UploadAhead* ahead) {
  const auto asked = std::chrono::steady_clock::now();
  data::Batch batch = loader_->next();
  const std::chrono::duration<double> wait = std::chrono::steady_clock::now() - asked;
  if (ahead != nullptr) clock_.waited_ahead(wait.count());
  const auto type = config_.precision == "bf16" ? tensor::DType::bfloat16 : tensor::DType::float32;
  return data::to_device(std::move(batch), training_device(config_), type, ahead);
}

data::Batch Trainer::next_batch() {
  const tensor::ProfileScope scope("wait for pictures");
  if (next_failed_) std::rethrow_exception(std::exchange(next_failed_, nullptr));
  if (!next_batch_) return load_batch();
  data::Batch batch = std::move(*next_batch_);
  next_batch_.reset();
  return batch;
}

// While the device is at work on a step. What goes wrong is the next step's.
void Trainer::read_ahead() {
  if (state_.position.step + 1 >= total_steps()) return;
  try {
    if constexpr (tensor::has_cuda)
      if (!ahead_) ahead_ = tensor::cuda::make_upload_ahead(training_device(config_));
    next_batch_ = load_batch(ahead_.get());
  } catch (...) {
    next_failed_ = std::current_exception();
  }
}

// What it shows is for people; a trace that cannot be written ends no run.
void Trainer::finish_profile(report::Observer& observer) {
  try {
    if (profile_->open()) {
      const auto file = std::filesystem::path(config_.output_dir) / "trace.json";
      std::istringstream table(profile_->finish(file));
      for (std::string line; std::getline(table, line);) observer.on_message(Level::info, line);
      observer.on_message(Level::info, fmt::format("profile: trace in {}", file.string()));
    } else {
      observer.on_message(Level::warning, "profile: the run was over before its third step, nothing to show");
    }
  } catch (const std::exception& error) {
    all_saved_ = false;
    observer.on_message(Level::error, error.what());
  }
  profile_.reset();
}

void Trainer::count(const data::Batch& batch, const StepResult& step) {
  Position& at = state_.position;
  ++at.step;
  if (++at.iteration == iterations_) {
    ++at.epoch;
    at.iteration = 0;
  }
  state_.replaced += batch.replaced;
  state_.updates += step.nonfinite ? 0 : 1;
  state_.skipped_in_a_row = step.nonfinite ? state_.skipped_in_a_row + 1 : 0;
}

void Trainer::skip_or_stop(const StepResult& step, report::Observer& observer) {
  const std::string what = fmt::format(
      "step {}: the loss is {}, the first tensor that is not finite is {}", state_.position.step - 1,
      std::isnan(step.loss) ? "nan" : fmt::format("{}", step.loss), *step.nonfinite);
  check(state_.skipped_in_a_row <= config_.skip_nonfinite,
        "{}; stopped without saving, the last good checkpoint is {}", what, last_good_);
  observer.on_message(Level::warning, fmt::format("{}; skipped, {} of at most {} in a row", what,
                                                  state_.skipped_in_a_row, config_.skip_nonfinite));
}

void Trainer::report_step(const Position& at, const StepResult& step, report::Observer& observer) {
  report::StepRecord record;
  record.epoch = at.epoch + 1;
  record.epochs = (total_steps() + iterations_ - 1) / iterations_;  // --max-iters may end it before
  record.iter = at.iteration + 1;
  record.iters_per_epoch = iterations_;
  record.step = at.step;
  record.steps = total_steps();
  record.lr = step.lr;
  record.time = clock_.time();
  record.data_time = clock_.data_time();
  record.batches_ready = clock_.batches_ready();
  record.eta_s = clock_.eta(total_steps() - state_.position.step);
  const tensor::Device device = model_.options().options.device;
  record.memory_mib = device.is_cpu() ? peak_resident_mib() : tensor::allocator(device).stats().peak >> 20;
  record.pictures_per_s = record.time > 0 ? static_cast<double>(config_.batch_size) / record.time : 0;
  record.queue_fill = model_.queue_fill(state_.updates, config_.batch_size);
  record.acc1 = step.top1;
  record.replaced = state_.replaced;
  if (model_.dense()) {
    record.losses = {{"loss_contra_single", (1 - step.lambda) * step.loss_global},
                     {"loss_contra_dense", step.lambda * step.loss_dense},
                     {"loss", step.loss}};
  } else {
    record.losses = {{"loss_contra", step.loss_global}, {"loss", step.loss}};
  }
  record.log = record.iter % config_.print_freq == 0 || record.iter == iterations_ || done();
  observer.on_step(record);
  if (record.log) clock_.restart_window();
}

void Trainer::save(report::Observer& observer) {
  std::vector<NamedTensor> tensors = model_.state();
  for (auto& [name, tensor] : optimizer_.state()) tensors.push_back({"momentum buffer of " + name, tensor});
  const auto bad = first_nonfinite(tensors);
  check(!bad, "step {}: {} is not finite; stopped without saving, the last good checkpoint is {}",
        state_.position.step - 1, bad.value_or(""), last_good_);
  save_tried_ = state_.position;
  try {
    last_good_ = save_checkpoint(config_.output_dir, config_, state_, model_, optimizer_).filename().string();
    observer.on_message(Level::info, fmt::format("saved {}", last_good_));
  } catch (const std::exception& error) {  // nothing that a disk does ends the run
    all_saved_ = false;
    observer.on_message(Level::error,
                        fmt::format("{}: not saved; the last good checkpoint is {}, the run goes on",
                                    error.what(), last_good_));
  }
}

void Trainer::say(Level level, std::string line) {
  const std::lock_guard lock(messages_mutex_);
  messages_.emplace_back(level, std::move(line));
}

void Trainer::flush_messages(report::Observer& observer) {
  std::vector<std::pair<Level, std::string>> messages;
  {
    const std::lock_guard lock(messages_mutex_);
    messages.swap(messages_);
  }
  for (const auto& [level, line] : messages) observer.on_message(level, line);
}

}  // namespace dcl::densecl
