// Batches of augmented view pairs, prepared ahead of time by worker threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "data/augment.h"
#include "data/sampler.h"
#include "data/source.h"
#include "tensor/tensor.h"

namespace dcl::data {

using tensor::Tensor;

enum class OnBadImage : std::uint8_t { replace, stop };

/// How far the loader's threads go with a view: normalised numbers, or the crop, whose other half of the way
/// is a GPU's (data/finish_batch.h).
enum class ViewStage : std::uint8_t { finished, crop };

struct LoaderOptions {
  std::int64_t batch = 256;  // pairs a batch, of this rank
  AugmentOptions augment = {};
  ViewStage views = ViewStage::finished;
  std::uint64_t seed = 0;
  int workers = 2;            // threads; 0: the caller does the work in next()
  std::int64_t prefetch = 3;  // batches that may be under way at once, which bounds the memory
  OnBadImage on_bad_image = OnBadImage::replace;
  int rank = 0;
  int ranks = 1;
  std::int64_t first_epoch = 0;      // where to begin, from 0
  std::int64_t first_iteration = 0;  // in that epoch, from 0
  /// Told once about every unreadable picture, from any thread, one line.
  std::function<void(const std::string& line)> on_message = {};
};

struct Batch {
  Tensor query_view;   // [N,S,S,3] float32, normalised; crops: uint8
  Tensor key_view;     // the same pictures, augmented anew
  Tensor query_steps;  // of crops: uint8 [N,sizeof(ViewSteps)], what becomes of them (data/view_steps.h)
  Tensor key_steps;
  Tensor indices;  // int64 [N], positions in the source that were asked for
  std::int64_t epoch = 0;
  std::int64_t iteration = 0;
  std::int64_t replaced = 0;  // of this batch: unreadable pictures that others stand in for
  // Batches that could be had without waiting when this one was asked for, it among them: 0 where next() had
  // to wait, up to `prefetch` where the workers are ahead. Depends on time, as nothing else in here does.
  std::int64_t ready = 0;
};

/// Gives the batches of all epochs in order, without end. What is in a batch depends on the source, the seed,
/// the epoch and the iteration alone, not on the number of workers nor on where the run began. An unreadable
/// picture is replaced by the next readable one of the source (under its own position's random numbers).
class Loader {
 public:
  /// Throws Error for options out of their range, or a batch larger than the set.
  Loader(const std::shared_ptr<const Source>& source, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::int64_t batches_per_epoch() const;
  /// Waits for the next batch. Throws what went wrong in making it, whatever the number of workers at the
  /// same batch: an unreadable picture with OnBadImage::stop (the first of the batch), no readable one in the
  /// whole source, or no memory.
  Batch next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dcl::data
