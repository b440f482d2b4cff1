// bench_loader DATA --size S --threads T: how many pictures a second are read and decoded, and how many
// become two augmented views, or the two crops of --aug-device cuda, on T threads. The last line on standard
// output is one object: pictures_per_s, decode_per_s, size, threads.
#include <atomic>
#include <chrono>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "apps/support/command_line.h"
#include "data/decode.h"
#include "data/loader.h"
#include "data/open_source.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  std::string folder;
  std::int64_t size = 224;
  int threads = 1;
  std::int64_t count = 2000;
  std::string stage = "views";
};

// Pictures a second, decoded and thrown away.
double decode_rate(const dcl::data::Source& source, const Options& o) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (std::int64_t i = next++; i < o.count; i = next++) {
        const auto sample = source.read(i % source.size());
        dcl::data::decode(sample.bytes, sample.name);
      }
    } catch (...) {
      const std::scoped_lock lock(mutex);
      error = std::current_exception();
    }
  };
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < o.threads; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
  return static_cast<double>(o.count) / seconds_since(start);
}

// Pictures a second through the whole loader: two normalised views of each, or two crops.
double view_rate(const std::shared_ptr<const dcl::data::Source>& source, const Options& o) {
  dcl::data::LoaderOptions options;
  options.batch = std::min<std::int64_t>(source->size(), 32);
  options.augment.image_size = o.size;
  options.workers = o.threads;
  if (o.stage == "crops") options.views = dcl::data::ViewStage::crop;
  options.on_bad_image = dcl::data::OnBadImage::stop;
  dcl::data::Loader loader(source, options);
  // What is prepared ahead before the clock starts is as much as what is under way when it stops.
  for (std::int64_t i = 0; i < options.prefetch; ++i) loader.next();
  const std::int64_t batches = (o.count + options.batch - 1) / options.batch;
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < batches; ++i) loader.next();
  return static_cast<double>(batches * options.batch) / seconds_since(start);
}

int run(const Options& o) {
  const std::shared_ptr<const dcl::data::Source> source = dcl::data::open_source(o.folder);
  for (std::int64_t i = 0; i < std::min<std::int64_t>(source->size(), o.count); ++i)
    source->read(i);  // page cache
  const double decoded = decode_rate(*source, o);
  nlohmann::ordered_json line;
  line["pictures_per_s"] = o.stage == "decode" ? decoded : view_rate(source, o);
  line["decode_per_s"] = decoded;
  line["size"] = o.size;
  line["threads"] = o.threads;
  std::cout << line.dump() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line("bench_loader",
                              "Measures the loader: pictures a second, decoded and augmented.");
  Options o;
  line.positional("DATA", o.folder, "pictures: a folder, a list, COCO, VOC, LMDB, tar archives");
  line.option("--size", o.size, "side of a view in pixels", 1, 16384);
  line.option("--threads", o.threads, "worker threads", 1, 1024);
  line.option("--count", o.count, "pictures to take, the set again from its start where it is smaller", 1,
              100'000'000);
  line.choice("--stage", o.stage,
              "what pictures_per_s counts: decode, crops (decoding and both crops) or views (with all of "
              "augmentation)",
              {{"decode", "decode"}, {"crops", "crops"}, {"views", "views"}});
  return line.run(argc, argv, [&] { return run(o); }, dcl::apps::kUsedWrongly);
}
