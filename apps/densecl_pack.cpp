// densecl_pack SRC DST: packs any set of pictures into an LMDB database or tar archives.
//
// Exit status 0: complete and verified; 1: it failed, or a signal stopped it (the same command goes on where
// it was); 2: the command line cannot be understood.
#include <chrono>
#include <cstdio>
#include <filesystem>

#include <fmt/core.h>

#include "apps/support/command_line.h"
#include "apps/support/signals.h"
#include "apps/support/version.h"
#include "data/open_source.h"
#include "data/pack/pack.h"
#include "data/pack/writer.h"
#include "densecl/report/console.h"
#include "tensor/check.h"
#include "tensor/cpu/threads.h"

namespace {

namespace data = dcl::data;
namespace fs = std::filesystem;
using dcl::densecl::report::Console;

struct Arguments {
  std::string from;
  std::string to;
  std::string format;  // empty: by the ending
  data::SourceOptions source;
  std::string root;
  std::int64_t resize_short = 0;
  int quality = 0;
  std::int64_t shard_mib = 0;
  int threads = dcl::tensor::cpu::num_threads();
};

void declare(dcl::apps::CommandLine& line, Arguments& a) {
  line.positional("SRC", a.from, "pictures: a folder, a list, COCO, VOC, LMDB, tar archives");
  line.positional("DST", a.to,
                  "database or archive to make; one that is there and complete is only verified");
  line.option("--to", a.format, "lmdb or tar [by DST's ending]");
  line.option("--data-format", a.source.format,
              "of SRC: auto, folder, list, coco, voc, imagenet, lmdb or tar");
  line.option("--split", a.source.split, "part of a COCO or VOC set, such as train2017");
  line.option("--data-root", a.root, "folder that the paths of a list are below [the list's own]");
  line.option("--resize-short", a.resize_short,
              "make the shorter side of larger pictures so many pixels; 0: none", 0, 65500);
  line.option("--quality", a.quality,
              "write every picture anew as JPEG of this quality; 0: only those resized, 95", 0, 100);
  line.option("--shard-size", a.shard_mib, "MiB an archive, DST being a folder of them (tar); 0: one archive",
              0, 1 << 20);
  line.option("--threads", a.threads, "threads; what is written does not depend on them", 1, 1024);
  line.check([&a] {
    const std::string ending = fs::path(a.to).extension().string();
    if (a.format.empty() && (ending == ".lmdb" || ending == ".tar")) a.format = ending.substr(1);
    dcl::check(!a.format.empty(),
               "DST: '{}' ends neither in .lmdb nor in .tar, --to lmdb or --to tar says which", a.to);
    dcl::check(a.format == "lmdb" || a.format == "tar", "--to: '{}' is unknown, expected lmdb or tar",
               a.format);
    dcl::check(a.shard_mib == 0 || a.format == "tar", "--shard-size: only tar has shards");
    a.source.root = a.root;
  });
}

int run(const Arguments& a) {
  dcl::tensor::cpu::set_num_threads(a.threads);
  const auto source = data::open_source(a.from, a.source);
  dcl::apps::catch_stop_signals();
  Console console(stdout);
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  std::int64_t begun = -1;  // where the stage's first report stood
  std::string stage;
  data::PackOptions options;
  options.to = a.format;
  options.resize_short = a.resize_short;
  if (a.quality > 0) options.quality = a.quality;
  options.shard_bytes = a.shard_mib << 20;
  options.should_stop = dcl::apps::stop_requested;
  options.on_message = [&](const std::string& line) { console.line(line); };
  options.on_progress = [&](std::int64_t done, std::int64_t of, const char* what) {
    if (stage != what) {
      stage = what;
      start = Clock::now();
      begun = done;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const double eta =
        done > begun ? seconds / static_cast<double>(done - begun) * static_cast<double>(of - done) : -1;
    console.bar(static_cast<double>(done) / static_cast<double>(of),
                fmt::format("{}/{} {}, eta: {}", done, of, what, dcl::densecl::report::format_duration(eta)));
  };
  const auto result = data::pack(*source, a.to, options);
  console.clear_bar();
  dcl::check(!result.stopped, "stopped by a signal; the same command goes on from {}",
             data::partial_path(a.to).string());
  const std::string went_on = result.resumed > 0 ? fmt::format(", {} of them before", result.resumed) : "";
  const std::string left_out = result.skipped > 0 ? fmt::format(", {} left out", result.skipped) : "";
  console.line(fmt::format("{} pictures in {}{}{}, all read again and verified", result.pictures, a.to,
                           went_on, left_out));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line(
      "densecl_pack",
      "Packs pictures into an LMDB database or tar archives, which densecl_train reads.\n"
      "Killed, it goes on where it was when it is started again.",
      [] { return dcl::apps::version_text("densecl_pack"); });
  Arguments arguments;
  declare(line, arguments);
  return line.run(argc, argv, [&] { return run(arguments); });
}
