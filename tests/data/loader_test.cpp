#include "data/loader.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "data/decode.h"
#include "data/open_source.h"
#include "tests/ops/op_table.h"
#include "tests/support/memory.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

using test::expect_error;
using test::expect_same_bits;

// Files that are in memory; counts how often they are read.
class MemorySource final : public Source {
 public:
  void add(std::string name, test::Bytes bytes) { files_.push_back({std::move(name), std::move(bytes)}); }
  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  Sample read(std::int64_t index) const override {
    ++reads;
    return files_.at(static_cast<std::size_t>(index));
  }
  const std::string& name() const override { return name_; }

  mutable std::atomic<int> reads{0};

 private:
  std::string name_ = "photos";
  std::vector<Sample> files_;
};

std::string file_name(int i) { return std::to_string(i) + ".jpg"; }

// `size` pictures of many shapes, up to `step` times some pixels larger; those in `bad` replaced by text.
std::shared_ptr<MemorySource> source_of(int size, const std::set<int>& bad = {}, int step = 16) {
  auto source = std::make_shared<MemorySource>();
  for (int i = 0; i < size; ++i) {
    test::Bytes bytes = test::encode_jpeg(
        test::drawn_picture(20 + i % 7 * step, 24 + i % 5 * step, static_cast<std::uint64_t>(i)));
    if (bad.contains(i)) bytes = {'n', 'o', 'n', 'e'};
    source->add(file_name(i), bytes);
  }
  return source;
}

LoaderOptions small(std::int64_t batch, int workers) {
  LoaderOptions options;
  options.batch = batch;
  options.workers = workers;
  options.augment.image_size = 16;
  options.seed = 5;
  return options;
}

void expect_same(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.iteration, b.iteration);
  EXPECT_EQ(a.replaced, b.replaced);
  expect_same_bits(a.indices, b.indices, "indices");
  expect_same_bits(a.query_view, b.query_view, "query_view");
  expect_same_bits(a.key_view, b.key_view, "key_view");
}

// What a batch must hold, made by hand from the parts.
TEST(Loader, GivesBothViewsOfTheSamplersPictures) {
  const auto source = source_of(7);
  const auto options = small(3, 0);
  Loader loader(source, options);
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  const Sampler sampler({.size = 7, .batch = 3, .seed = 5});
  for (std::int64_t step = 0; step < 5; ++step) {
    const Batch batch = loader.next();
    EXPECT_EQ(batch.epoch, step / 2);
    EXPECT_EQ(batch.iteration, step % 2);
    EXPECT_EQ(batch.replaced, 0);
    ASSERT_EQ(batch.query_view.shape(), (tensor::Shape{3, 16, 16, 3}));
    ASSERT_EQ(batch.key_view.shape(), (tensor::Shape{3, 16, 16, 3}));
    const auto wanted = sampler.batch(sampler.order(step / 2), step % 2);
    EXPECT_EQ(batch.indices.to_vector<std::int64_t>(), wanted);
    for (std::int64_t row = 0; row < 3; ++row) {
      const auto index = wanted[static_cast<std::size_t>(row)];
      const Image image = decode(source->read(index).bytes, "");
      for (const std::uint8_t view : {0, 1}) {
        tensor::RandomStream random({.seed = 5,
                                     .purpose = tensor::Purpose::augmentation,
                                     .epoch = static_cast<std::uint32_t>(step / 2),
                                     .sample = static_cast<std::uint64_t>(index),
                                     .view = view});
        const auto params = draw_view(image.width, image.height, options.augment, random);
        Tensor expected = Tensor::empty({1, 16, 16, 3});
        normalise_view(apply_view(image, params, 16), expected.data<float>());
        expect_same_bits((view == 0 ? batch.query_view : batch.key_view).rows(row, row + 1).clone(),
                         expected);
      }
    }
  }
}

TEST(Loader, BatchesDoNotDependOnTheWorkers) {
  const auto source = source_of(23, {3, 4, 22});
  Loader alone(source, small(5, 0));
  std::vector<Batch> expected;
  std::int64_t replaced = 0;
  for (int step = 0; step < 10; ++step) {
    expected.push_back(alone.next());
    replaced += expected.back().replaced;
  }
  EXPECT_GT(replaced, 0);
  for (const int workers : {1, 2, 4, 9})
    for (const std::int64_t prefetch : {1, 4}) {
      auto options = small(5, workers);
      options.prefetch = prefetch;
      Loader loader(source, options);
      for (const auto& batch : expected) expect_same(loader.next(), batch);
    }
}

TEST(Loader, ResumesInTheMiddleOfAnEpoch) {
  const auto source = source_of(20, {7});
  Loader whole(source, small(4, 2));
  for (int step = 0; step < 8; ++step) whole.next();  // 5 batches an epoch
  auto options = small(4, 2);
  options.first_epoch = 1;
  options.first_iteration = 3;
  Loader resumed(source, options);
  for (int step = 0; step < 4; ++step) expect_same(resumed.next(), whole.next());

  // The end of an epoch is the start of the next.
  options.first_iteration = 5;
  Loader at_end(source, options);
  const Batch batch = at_end.next();
  EXPECT_EQ(batch.epoch, 2);
  EXPECT_EQ(batch.iteration, 0);
}

TEST(Loader, RanksTogetherGiveTheWholeBatch) {
  const auto source = source_of(13);
  Loader whole(source, small(6, 1));
  std::vector<std::unique_ptr<Loader>> parts;
  for (int rank = 0; rank < 3; ++rank) {
    auto options = small(2, 1);
    options.rank = rank;
    options.ranks = 3;
    parts.push_back(std::make_unique<Loader>(source, options));
    EXPECT_EQ(parts.back()->batches_per_epoch(), 2);
  }
  for (int step = 0; step < 3; ++step) {
    const Batch batch = whole.next();
    for (int rank = 0; rank < 3; ++rank) {
      const Batch part = parts[static_cast<std::size_t>(rank)]->next();
      expect_same_bits(part.indices, batch.indices.rows(2 * rank, 2 * rank + 2).clone());
      expect_same_bits(part.query_view, batch.query_view.rows(2 * rank, 2 * rank + 2).clone());
      expect_same_bits(part.key_view, batch.key_view.rows(2 * rank, 2 * rank + 2).clone());
    }
  }
}

TEST(Loader, UnreadablePicturesAreReplacedCountedAndNamedOnce) {
  const std::set<int> bad{0, 4, 5, 9};  // 4 and 5 stand together, 9 is the last
  const auto broken = source_of(10, bad);
  std::mutex mutex;
  std::vector<std::string> messages;
  auto options = small(10, 3);
  options.on_message = [&](const std::string& line) {
    const std::scoped_lock lock(mutex);
    messages.push_back(line);
  };
  Loader loader(broken, options);
  // The same set with good copies in the bad places: what must stand in.
  auto mended = std::make_shared<MemorySource>();
  for (const int i : {1, 1, 2, 3, 6, 6, 6, 7, 8, 1}) mended->add(file_name(i), broken->read(i).bytes);
  Loader expected(mended, small(10, 0));
  for (int epoch = 0; epoch < 3; ++epoch) {
    const Batch batch = loader.next();
    const Batch wanted = expected.next();
    EXPECT_EQ(batch.replaced, 4);
    expect_same_bits(batch.indices, wanted.indices);
    expect_same_bits(batch.query_view, wanted.query_view);
    expect_same_bits(batch.key_view, wanted.key_view);
  }
  ASSERT_EQ(messages.size(), bad.size());
  for (const int i : bad)
    EXPECT_TRUE(std::any_of(messages.begin(), messages.end(),
                            [&](const std::string& line) { return line.starts_with(file_name(i) + ": "); }));
}

// The error is that of the batch's first bad picture, at that batch, whatever the number of workers.
TEST(Loader, StopsAtAnUnreadablePictureWhenAsked) {
  const auto source = source_of(24, {2, 3, 5, 7, 11});
  const Sampler sampler({.size = 24, .batch = 6, .seed = 5});
  const auto order = sampler.order(0);
  const std::set<std::int64_t> bad{2, 3, 5, 7, 11};
  std::int64_t good_batches = -1;
  std::string first;
  for (std::size_t i = 0; i < order.size() && first.empty(); ++i)
    if (bad.contains(order[i])) {
      good_batches = static_cast<std::int64_t>(i) / 6;
      first = file_name(static_cast<int>(order[i]));
    }
  for (const int workers : {0, 1, 4}) {
    auto options = small(6, workers);
    options.on_bad_image = OnBadImage::stop;
    Loader loader(source, options);
    for (std::int64_t i = 0; i < good_batches; ++i) EXPECT_NO_THROW(loader.next());
    expect_error([&] { loader.next(); }, {first + ": neither a JPEG nor a PNG picture"});
    expect_error([&] { loader.next(); }, {first + ": "});  // and so it stays
  }
}

TEST(Loader, ASetWithoutAReadablePictureIsAnError) {
  std::set<int> all;
  for (int i = 0; i < 40; ++i) all.insert(i);
  const auto source = source_of(40, all);
  for (const int workers : {0, 3}) {
    source->reads = 0;
    Loader loader(source, small(20, workers));
    expect_error([&] { loader.next(); }, {"photos: none of the 40 pictures can be read"});
    EXPECT_LE(source->reads, 40 * std::max(1, workers));
  }
}

// The workers run ahead as far as they may, and a caller without workers always waits.
TEST(Loader, TellsHowManyBatchesAreReady) {
  const auto source = source_of(12);
  Loader alone(source, small(4, 0));
  for (int step = 0; step < 5; ++step) EXPECT_EQ(alone.next().ready, 0);
  auto options = small(4, 2);
  options.prefetch = 3;
  Loader loader(source, options);
  std::int64_t ready = 0;
  for (int attempt = 0; attempt < 100 && ready < 3; ++attempt) {  // patience for a busy machine
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ready = loader.next().ready;
    ASSERT_LE(ready, 3);
  }
  EXPECT_EQ(ready, 3);
}

// Holds back whoever reads the pictures `held`, until open() is called.
class GatedSource final : public Source {
 public:
  GatedSource(std::shared_ptr<const Source> source, std::set<std::int64_t> held)
      : source_(std::move(source)), held_(std::move(held)) {}
  std::int64_t size() const override { return source_->size(); }
  const std::string& name() const override { return source_->name(); }
  Sample read(std::int64_t index) const override {
    if (held_.contains(index)) {
      std::unique_lock lock(mutex_);
      ++arrived_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return open_; });
    }
    return source_->read(index);
  }
  void wait_until_all_are_held() const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ == held_.size(); });
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::shared_ptr<const Source> source_;
  std::set<std::int64_t> held_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::size_t arrived_ = 0;
  bool open_ = false;
};

// Two workers: one is held at the first picture of the second batch, the other one at the fourth batch's, so
// that it has made all that is before: the first batch and the third are finished, the second is not.
TEST(Loader, ABatchBehindAnUnfinishedOneIsNotReady) {
  auto options = small(4, 2);
  options.prefetch = 4;
  const auto order = Sampler({.size = 16, .batch = 4, .seed = 5}).order(0);
  const auto source = std::make_shared<GatedSource>(source_of(16), std::set{order[4], order[12]});
  Loader loader(source, options);
  source->wait_until_all_are_held();
  EXPECT_EQ(loader.next().ready, 1);
  source->open();
  for (int step = 1; step < 4; ++step) EXPECT_EQ(loader.next().iteration, step);
}

// 200,000 pictures, good, unreadable and of many sizes.
TEST(Loader, MemoryStaysBounded) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep what was freed";
#endif
  Loader loader(source_of(100, {17, 18, 60}, 1), small(50, 2));
  const auto read = [&](std::int64_t pictures) {
    for (std::int64_t i = 0; i < pictures; i += 50) loader.next();
  };
  read(20'000);
  const std::int64_t before = test::resident_bytes();
  read(180'000);
  EXPECT_LT(test::resident_bytes() - before, 8 << 20);  // a leak of 48 bytes a picture would show
}

TEST(Loader, FoldersOfRealFiles) {
  const test::TemporaryFolder folder;
  const Image image = test::drawn_picture(40, 30);
  const auto jpeg = test::encode_jpeg(image);
  folder.write("good.jpg", jpeg);
  folder.write("grey.jpg", test::encode_jpeg(image, {.kind = test::JpegKind::grey}));
  folder.write("cmyk.JPG", test::encode_jpeg(image, {.kind = test::JpegKind::cmyk}));
  folder.write("really_png.JPEG", test::encode_png(image));
  folder.write("text.jpg", std::string_view("hello"));
  folder.write("zero.jpeg", std::string_view(""));
  folder.write("truncated.jpg", std::span(jpeg).first(jpeg.size() / 2));
  std::filesystem::create_directory(folder.path() / "folder.jpg");
  const std::shared_ptr<const Source> source = open_source(folder.path());
  ASSERT_EQ(source->size(), 7);
  Loader loader(source, small(7, 2));
  EXPECT_EQ(loader.next().replaced, 3);
}

TEST(Loader, EndsWhileWorkersAreBusy) {
  const auto source = source_of(12);
  for (int i = 0; i < 20; ++i) {
    Loader loader(source, small(4, 4));
    if (i % 2 == 0) loader.next();
    if (i % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(Loader, PreparesNoMoreThanPrefetchBatchesAhead) {
  const auto source = source_of(12);
  auto options = small(4, 3);
  options.prefetch = 2;
  Loader loader(source, options);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(source->reads, 8);
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(source->reads, 12);
}

TEST(Loader, RefusesOptionsOutOfRange) {
  const auto source = source_of(4);
  const auto with = [&](auto change) {
    auto options = small(2, 0);
    change(options);
    Loader loader(source, options);
  };
  expect_error([&] { with([](auto& o) { o.batch = 5; }); }, {"photos: a batch of 5", "set of 4 pictures"});
  expect_error(
      [&] { with([](auto& o) { o.batch = std::numeric_limits<std::int64_t>::max(), o.ranks = 8; }); },
      {"photos: a batch of", "set of 4 pictures"});
  expect_error([&] { with([](auto& o) { o.batch = 0; }); }, {"batch size is 0"});
  expect_error([&] { with([](auto& o) { o.ranks = 0; }); }, {"rank 0 of 0"});
  expect_error([&] { with([](auto& o) { o.workers = -1; }); }, {"-1 workers"});
  expect_error([&] { with([](auto& o) { o.prefetch = 0; }); }, {"prefetch is 0"});
  expect_error([&] { with([](auto& o) { o.first_iteration = 3; }); }, {"iteration 3 of 2"});
  expect_error([&] { with([](auto& o) { o.augment.image_size = 0; }); }, {"image size is 0"});
  expect_error([&] { with([](auto& o) { o.augment.hue = 0.6; }); }, {"hue is 0.6"});
  expect_error([&] { with([](auto& o) { o.augment.flip_probability = 1.5; }); }, {"flip probability is 1.5"});
  expect_error([&] { with([](auto& o) { o.augment.crop_scale = {0.5, 0.2}; }); },
               {"crop scale is 0.5 to 0.2"});
  expect_error(
      [&] { with([](auto& o) { o.augment.blur_probability = std::numeric_limits<double>::quiet_NaN(); }); },
      {"blur probability is nan"});
}

}  // namespace
}  // namespace dcl::data
