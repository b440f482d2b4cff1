#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "data/pair_maker.h"
#include "data/view_steps.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

void check_options(const Source& source, const LoaderOptions& o) {
  check(source.size() > 0, "{}: no pictures", source.name());
  check(o.workers >= 0 && o.workers <= 1024, "loader: {} workers, expected 0 to 1024", o.workers);
  check(o.prefetch >= 1, "loader: prefetch is {} batches, expected at least 1", o.prefetch);
  check(o.first_epoch >= 0 && o.first_iteration >= 0, "loader: cannot begin at epoch {}, iteration {}",
        o.first_epoch, o.first_iteration);
}

void make_room(Batch& batch, std::int64_t pictures, const LoaderOptions& o) {
  const tensor::Shape views{pictures, o.augment.image_size, o.augment.image_size, 3};
  const bool crops = o.views == ViewStage::crop;
  const auto type = crops ? tensor::DType::uint8 : tensor::DType::float32;
  batch.query_view = Tensor::empty(views, {type});
  batch.key_view = Tensor::empty(views, {type});
  if (!crops) return;
  const tensor::Shape steps{pictures, std::int64_t{sizeof(ViewSteps)}};
  batch.query_steps = Tensor::empty(steps, {type});
  batch.key_steps = Tensor::empty(steps, {type});
}

void write_view(const Image& picture, const ViewParams& params, std::int64_t position, Tensor& views,
                Tensor& steps) {
  const std::int64_t side = views.size(1);
  const std::int64_t offset = position * side * side * 3;
  if (!steps.defined())
    return normalise_view(apply_view(picture, params, side), views.data<float>() + offset);
  const Image crop = crop_resize(picture, params.crop, side, side);
  std::copy(crop.pixels.begin(), crop.pixels.end(), views.data<std::uint8_t>() + offset);
  const ViewSteps of_view = view_steps(params);
  std::memcpy(steps.data<std::uint8_t>() + position * std::int64_t{sizeof of_view}, &of_view, sizeof of_view);
}

// A batch under way. Its tensors are written without a lock, each picture's place by one worker only.
struct Work {
  Batch batch;
  std::vector<std::int64_t> pictures;
  std::int64_t next = 0;  // picture that nobody has taken yet
  std::int64_t left = 0;  // pictures that are not finished
  // The first picture that failed: by its place, not by time, so that it does not depend on the workers.
  std::exception_ptr error;
  std::int64_t error_position = 0;
};

SamplerOptions sampler_options(const Source& source, const LoaderOptions& o) {
  check_options(source, o);
  const SamplerOptions options{
      .size = source.size(), .batch = o.batch, .seed = o.seed, .rank = o.rank, .ranks = o.ranks};
  check(o.ranks < 1 || options.whole_batch() <= options.size,
        "{}: a batch of {} is larger than the set of {} pictures", source.name(), options.whole_batch(),
        options.size);
  return options;
}

}  // namespace

// Workers take pictures one by one, of the oldest unfinished batch first; a new batch is opened when all
// pictures of the open ones are taken and fewer than `prefetch` are open. next() waits for the oldest one to
// be finished.
class Loader::Impl {
 public:
  Impl(const std::shared_ptr<const Source>& source, const LoaderOptions& o)
      : options_(o),
        sampler_(sampler_options(*source, o)),
        maker_(source, {.augment = o.augment,
                        .seed = o.seed,
                        .replace_bad = o.on_bad_image == OnBadImage::replace,
                        .on_message = o.on_message}),
        epoch_(o.first_epoch),
        iteration_(o.first_iteration) {
    check(iteration_ <= sampler_.batches_per_epoch(), "loader: cannot begin at iteration {} of {}",
          iteration_, sampler_.batches_per_epoch());
    try {
      for (int i = 0; i < o.workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      const auto started = workers_.size();
      stop();
      fail("loader: worker {} of {} cannot be started: {}", started, o.workers, error.code().message());
    }
  }

  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::int64_t batches_per_epoch() const { return sampler_.batches_per_epoch(); }

  Batch next() {
    std::unique_lock lock(mutex_);
    // Those behind an unfinished one cannot be had before it.
    const auto unfinished =
        std::find_if(open_.begin(), open_.end(), [](const auto& work) { return work->left > 0; });
    const std::int64_t ready = unfinished - open_.begin();
    if (workers_.empty()) {
      Task task;
      while (!finished() && take(task)) run(task, lock);
    } else {
      finished_.wait(lock, [this] { return finished() || cannot_go_on(); });
    }
    if (!finished()) std::rethrow_exception(error_);
    if (open_.front()->error) std::rethrow_exception(open_.front()->error);
    Batch batch = std::move(open_.front()->batch);
    open_.pop_front();
    batch.ready = ready;
    lock.unlock();
    may_work_.notify_all();
    return batch;
  }

 private:
  struct Task {
    std::shared_ptr<Work> work;
    std::int64_t position = 0;
  };

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    may_work_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  bool finished() const { return !open_.empty() && open_.front()->left == 0; }
  bool cannot_go_on() const { return open_.empty() && error_ != nullptr; }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      Task task;
      may_work_.wait(lock, [&] { return stop_ || take(task); });
      if (stop_) return;
      run(task, lock);
    }
  }

  // The next picture to make; false when `prefetch` batches are under way and all their pictures taken.
  bool take(Task& task) {
    if (open_.empty() || open_.back()->next == static_cast<std::int64_t>(open_.back()->pictures.size())) {
      if (error_ || static_cast<std::int64_t>(open_.size()) >= options_.prefetch) return false;
      try {
        open_.push_back(open_next());
      } catch (...) {  // no memory: the batches before this one can still be had
        error_ = std::current_exception();
        finished_.notify_all();
        return false;
      }
    }
    task = {open_.back(), open_.back()->next++};
    return true;
  }

  std::shared_ptr<Work> open_next() {
    if (iteration_ == sampler_.batches_per_epoch()) {
      iteration_ = 0;
      ++epoch_;
    }
    if (order_epoch_ != epoch_) {
      order_ = sampler_.order(epoch_);
      order_epoch_ = epoch_;
    }
    auto work = std::make_shared<Work>();
    work->pictures = sampler_.batch(order_, iteration_);
    work->left = static_cast<std::int64_t>(work->pictures.size());
    make_room(work->batch, work->left, options_);
    work->batch.indices = Tensor::from(work->pictures, {work->left});
    work->batch.epoch = epoch_;
    work->batch.iteration = iteration_++;
    return work;
  }

  // Makes one picture's views without holding the lock.
  void run(const Task& task, std::unique_lock<std::mutex>& lock) {
    Work& work = *task.work;
    lock.unlock();
    bool replaced = false;
    std::exception_ptr error;
    try {
      Batch& batch = work.batch;
      const auto write = [&](std::size_t view, const Image& picture, const ViewParams& params) {
        write_view(picture, params, task.position, view == 0 ? batch.query_view : batch.key_view,
                   view == 0 ? batch.query_steps : batch.key_steps);
      };
      replaced = maker_.make(work.pictures[static_cast<std::size_t>(task.position)], batch.epoch, write);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    work.batch.replaced += replaced ? 1 : 0;
    --work.left;
    if (error && (!work.error || task.position < work.error_position)) {
      work.error = error;
      work.error_position = task.position;
    }
    if (finished() || cannot_go_on()) finished_.notify_all();
  }

  LoaderOptions options_;
  Sampler sampler_;
  PairMaker maker_;
  std::int64_t epoch_;
  std::int64_t iteration_;
  std::int64_t order_epoch_ = -1;
  std::vector<std::int64_t> order_;
  std::mutex mutex_;
  std::condition_variable may_work_;
  std::condition_variable finished_;
  std::deque<std::shared_ptr<Work>> open_;
  std::exception_ptr error_;  // in opening a batch
  bool stop_ = false;
  std::vector<std::thread> workers_;  // last: they use all of the above
};

Loader::Loader(const std::shared_ptr<const Source>& source, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>(source, options)) {}

Loader::~Loader() = default;

std::int64_t Loader::batches_per_epoch() const { return impl_->batches_per_epoch(); }

Batch Loader::next() { return impl_->next(); }

}  // namespace dcl::data
