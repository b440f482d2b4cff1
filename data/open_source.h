// One way in for every kind of set.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/source.h"

namespace dcl::data {

/// What SourceOptions::format may say.
inline constexpr std::array<std::string_view, 8> kSourceFormats = {"auto", "folder",   "list", "coco",
                                                                   "voc",  "imagenet", "lmdb", "tar"};

struct SourceOptions {
  std::string format = "auto";
  std::string split = {};           // COCO's and VOC's: "train2017", "trainval"; empty: see file_lists.h
  std::filesystem::path root = {};  // what a list's paths are below; empty: its own folder
};

/// The format that "auto" stands for, told by looking at `path`: a name that ends in .lmdb or a folder with a
/// data.mdb is "lmdb"; a .tar file, or a folder that holds .tar files, no picture files and no other folders,
/// "tar"; another file "list"; a folder with JPEGImages in it "voc", one with COCO's folders or annotations
/// "coco", any other "folder".
std::string detect_format(const std::filesystem::path& path);

/// Opens the set. Throws Error for an unknown format, an option that the format has no use for, and whatever
/// is wrong with the set.
std::unique_ptr<Source> open_source(const std::filesystem::path& path, const SourceOptions& options = {});

}  // namespace dcl::data
