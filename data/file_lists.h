// The ways in which a set of picture files is listed: by a folder, a list, or the layouts of COCO, ImageNet
// and PASCAL VOC. Each gives the same kind of source.
#pragma once

#include <filesystem>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "data/file_source.h"

namespace dcl::data {

/// All picture files below a folder (find_pictures), without labels. Throws Error where there is none.
std::unique_ptr<FileSource> open_folder(const std::filesystem::path& folder);

/// OpenSelfSup's lists: a line a picture, "PATH" or "PATH LABEL" (a whole number from 0 behind the last
/// blank; either every line has one or none has). Blanks (spaces, tabs, carriage returns) at either end of a
/// line do not count, nor do empty lines, nor a UTF-8 byte order mark at the file's start. Paths are below
/// `root`; empty: the list's own folder. Files are not looked for here. Throws Error, naming the line, for a
/// NUL in it, or labels on some lines only.
std::unique_ptr<FileSource> open_list(const std::filesystem::path& list, const std::filesystem::path& root);
/// The lines of such a list; messages call it `source`.
std::vector<FileEntry> parse_list(std::istream& text, const std::string& source);

/// Folders of `folder` that are named like COCO's sets of pictures ("train2017"), in order.
std::vector<std::string> coco_splits(const std::filesystem::path& folder);

/// COCO: `folder`/annotations/instances_SPLIT.json with pictures in `folder`/SPLIT. An empty `split` is
/// train2017, or the only one there is. Without the annotations all pictures of the folder count. Ordered by
/// file_name. Throws Error for a split that is missing, naming those there are, and for annotations that list
/// no pictures, are broken, or are a link that leads nowhere.
std::unique_ptr<FileSource> open_coco(const std::filesystem::path& folder, const std::string& split);

/// ImageNet's layout: a folder a class, pictures at any depth below it. Classes are numbered in bytewise
/// order of the folders' names, as torchvision's ImageFolder does. Throws Error where there is no class
/// folder with a picture in it.
std::unique_ptr<FileSource> open_class_folders(const std::filesystem::path& folder);

/// PASCAL VOC: `folder`/JPEGImages, the names and their order from ImageSets/Main/SPLIT.txt, or, where that
/// is missing, ImageSets/Segmentation/SPLIT.txt; all pictures where `split` is empty. Throws Error for a
/// split that is missing, or whose list is a link that leads nowhere.
std::unique_ptr<FileSource> open_voc(const std::filesystem::path& folder, const std::string& split);

}  // namespace dcl::data
