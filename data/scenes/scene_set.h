// A folder of synthetic scenes in PASCAL VOC's layout:
//
//     OUT/JPEGImages/000000.jpg …             the pictures
//     OUT/Annotations/000000.xml …            classes and boxes, pixels from 1, both ends inclusive
//     OUT/SegmentationClass/000000.png …      palette masks: 0 background, 1 … 10 the classes in kClassNames
//     OUT/ImageSets/Main/…                    train, val, trainval; CLASS_train and so on with 1 and -1
//     OUT/ImageSets/Segmentation/…            train, val, trainval
//     OUT/scenes.txt                          seed, size and count; marks the folder as one of ours
//
// Every fifth picture is in val. Picture i depends on the seed, the size and i only: a smaller set is the
// beginning of a larger one, and any number of threads writes the same bytes.
#pragma once

#include <filesystem>
#include <functional>

#include "data/scenes/scene.h"

namespace dcl::data::scenes {

struct SceneSetOptions {
  SceneOptions scene;
  std::int64_t count = 2000;  // 1 to 1,000,000
  int quality = 90;           // of the JPEG files
  bool overwrite = false;     // replace a set of ours that stands there
};

/// Draws and writes the set. `progress(done)` is called now and then from the calling thread. Throws
/// dcl::Error, one line: a folder that is not empty (unless it is a set of ours and `overwrite`), a value out
/// of its range, a file that cannot be written.
void write_scene_set(const std::filesystem::path& folder, const SceneSetOptions& options,
                     const std::function<void(std::int64_t done)>& progress = {});

/// The VOC annotation of one picture.
std::string annotation_xml(const Scene& scene, const std::string& picture_name);

}  // namespace dcl::data::scenes
