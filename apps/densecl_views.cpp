// densecl_views PICTURE… -o SHEET.png: what augmentation makes of pictures, on one contact sheet.
//
// Exit status 0: the sheet is written; 1: a picture or the sheet is at fault; 2: the command line cannot be
// understood.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include <fmt/core.h>

#include "apps/support/command_line.h"
#include "apps/support/contact_sheet.h"
#include "apps/support/version.h"
#include "data/decode.h"
#include "data/file_source.h"
#include "data/next_readable.h"
#include "data/open_source.h"
#include "densecl/augment_config.h"
#include "densecl/replace_file.h"
#include "tensor/check.h"
#include "tensor/io/file_descriptor.h"

namespace {

namespace data = dcl::data;
namespace densecl = dcl::densecl;
namespace fs = std::filesystem;
using dcl::apps::SheetPair;

struct Arguments {
  std::vector<std::string> pictures;
  std::string sheet;
  data::SourceOptions source;
  std::string root;
  std::int64_t pairs = 1;
  std::int64_t limit = 12;
  std::int64_t epoch = 1;  // as the log counts
  std::int64_t sample = 0;
  densecl::TrainConfig config;
};

void declare(dcl::apps::CommandLine& line, Arguments& a) {
  line.positional("PICTURE", a.pictures,
                  "JPEG or PNG files, or sets: folders, lists, COCO, VOC, LMDB, tar archives");
  line.option("-o,--output", a.sheet, "PNG file to write; a sheet that is there is replaced, no other file");
  line.option("--pairs", a.pairs, "pairs of views a picture, those of as many epochs", 1, 1000);
  line.option("--limit", a.limit, "pictures at most", 1, 1000);
  line.option("--epoch", a.epoch, "epoch whose views are shown first", 1, 1'000'000'000);
  line.option("--sample", a.sample,
              "number in its set of the first picture; files given by themselves are numbered from it on", 0,
              1'000'000'000'000);
  line.option("--data-format", a.source.format,
              "of sets: auto, folder, list, coco, voc, imagenet, lmdb or tar");
  line.option("--split", a.source.split, "part of a COCO or VOC set, such as train2017");
  line.option("--data-root", a.root, "folder that the paths of a list are below [the list's own]");
  for (const auto& field : densecl::config_fields())
    if (field.group == densecl::kAugmentation || field.name == "image-size" || field.name == "seed")
      line.setting(field);
  line.check([&a, &line] {
    dcl::check(!a.sheet.empty(), "-o is missing: the PNG file to write");
    a.source.root = a.root;
    a.config.data = a.pictures.front();
    densecl::apply(a.config, line.settings());
    densecl::check_config(a.config);
  });
}

// A file given by itself, which has to be readable, or a set: there, as in a run, the next readable picture
// stands in for an unreadable one.
struct Set {
  std::shared_ptr<const data::Source> source = {};
  std::unique_ptr<data::NextReadable> readable = {};  // of a set
  std::int64_t first = 0;                             // position of the first picture that is shown
  std::int64_t number = 0;                            // what that one is numbered in a run
  std::int64_t shown = 0;                             // pictures
};

Set open_set(const std::string& path, const Arguments& a) {
  Set set{.source = data::open_source(path, a.source), .first = a.sample, .number = a.sample};
  dcl::check(a.sample < set.source->size(), "{}: --sample {}: expected less than its {} pictures", path,
             a.sample, set.source->size());
  set.readable = std::make_unique<data::NextReadable>(
      set.source, [](const std::string& line) { std::cerr << "densecl_views: " << line << '\n'; });
  return set;
}

// Each set's pictures have their numbers in a run with that set; files are numbered on from --sample.
std::vector<Set> sets_of(const Arguments& a) {
  std::vector<Set> sets;
  std::int64_t shown = 0;
  std::int64_t file = a.sample;
  for (const auto& path : a.pictures) {
    std::error_code error;
    if (data::is_picture_name(path) && !fs::is_directory(path, error))
      sets.push_back(
          {.source = std::make_shared<data::FileSource>(path, "", std::vector{data::FileEntry{path}}),
           .number = file++});
    else
      sets.push_back(open_set(path, a));
    Set& set = sets.back();
    set.shown = std::min(a.limit - shown, set.source->size() - set.first);
    shown += set.shown;
  }
  dcl::check(a.pairs * shown <= 1000, "--pairs {} of each of {} pictures are {}, expected at most 1000",
             a.pairs, shown, a.pairs * shown);
  return sets;
}

// Of the i-th picture that is shown of a set: those of its epochs, as a run with these settings would see
// them.
void add_pairs(const Set& set, std::int64_t i, const Arguments& a, std::vector<SheetPair>& pairs) {
  data::Image picture;
  std::string name;
  const auto decode = [&](const data::Sample& sample) {
    picture = data::decode(sample.bytes, sample.name);
    name = fs::path(sample.name).filename().string();
  };
  const std::int64_t position = set.first + i;
  const std::int64_t number = set.number + i;
  bool replaced = false;
  if (set.readable)
    replaced = set.readable->read(position, decode) != position;
  else
    decode(set.source->read(position));
  if (replaced)
    name += fmt::format(", in place of sample {}", number);
  else if (a.sample > 0)
    name += fmt::format(", sample {}", number);
  const data::AugmentOptions options = densecl::augment_options(a.config);
  const auto original = dcl::apps::sheet_original(picture, options.image_size);
  for (std::int64_t epoch = a.epoch; epoch < a.epoch + a.pairs; ++epoch) {
    SheetPair pair;
    pair.name = name;
    if (a.pairs > 1 || a.epoch > 1) pair.name += fmt::format(", epoch {}", epoch);
    pair.params = draw_pair(picture.width, picture.height, options,
                            {static_cast<std::uint64_t>(a.config.seed), epoch - 1, number});
    for (std::size_t v = 0; v < 2; ++v)
      pair.views[v] = apply_view(picture, pair.params[v], options.image_size);
    pair.original = original;
    pairs.push_back(std::move(pair));
  }
}

std::vector<SheetPair> pairs_of(const Arguments& a) {
  std::vector<SheetPair> pairs;
  for (const auto& set : sets_of(a))
    for (std::int64_t i = 0; i < set.shown; ++i) add_pairs(set, i, a, pairs);
  return pairs;
}

// A mistyped line must not cost anybody a photo: only a sheet is written over.
void check_replaceable(const fs::path& sheet) {
  std::error_code error;
  if (!fs::exists(sheet, error)) return;
  dcl::check(fs::is_regular_file(sheet, error), "{}: is there and no file, not written over", sheet.string());
  dcl::check(dcl::apps::is_sheet(sheet), "{}: is there and no sheet of this program, not written over",
             sheet.string());
}

int run(const Arguments& a) {
  check_replaceable(a.sheet);
  const std::vector<SheetPair> pairs = pairs_of(a);
  const std::string title = fmt::format("augmentation {}; {} px, seed {}; query orange, key blue",
                                        augmentation_text(a.config), a.config.image_size, a.config.seed);
  const std::vector<std::uint8_t> png = draw_sheet(pairs, title);
  densecl::replace_file(a.sheet, [&](int descriptor, const std::string& path) {
    if (!dcl::tensor::io::write_all(descriptor, png.data(), png.size()))
      dcl::tensor::io::throw_system_error(path, "cannot be written");
  });
  std::cout << fmt::format("{} pairs of views in {}\n", pairs.size(), a.sheet);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line(
      "densecl_views",
      "Draws pictures with the crops of both views on them, and the views that a training run "
      "with the same\nsettings would see.",
      [] { return dcl::apps::version_text("densecl_views"); });
  Arguments arguments;
  declare(line, arguments);
  return line.run(argc, argv, [&] { return run(arguments); });
}
