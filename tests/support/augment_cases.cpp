#include "tests/support/augment_cases.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "data/augment.h"
#include "data/blur.h"
#include "data/color.h"
#include "data/decode.h"
#include "data/file_source.h"
#include "tensor/check.h"

namespace dcl::test {

using data::Image;
using nlohmann::json;

namespace {

data::JitterKind kind_of(const std::string& operation) {
  if (operation == "brightness") return data::JitterKind::brightness;
  if (operation == "contrast") return data::JitterKind::contrast;
  if (operation == "saturation") return data::JitterKind::saturation;
  if (operation == "hue") return data::JitterKind::hue;
  fail("augment.json: unknown jitter operation {}", operation);
}

Image read_picture(const std::filesystem::path& path) {
  return data::decode(data::read_file(path), path.filename().string());
}

// "jitter3" -> the third operation of the case.
const json& jitter_of(const json& c, const std::string& stage) {
  const std::size_t at = std::strtoul(stage.c_str() + 6, nullptr, 10);
  check(c.at("jitter").is_array() && at >= 1 && at <= c.at("jitter").size(),
        "augment.json: stage {} has no parameters", stage);
  return c.at("jitter").at(at - 1);
}

// What our code makes of the reference's previous stage.
Image run_stage(const json& c, const std::string& stage, Image image) {
  if (stage == "crop") {
    const auto box = c.at("crop").get<std::array<std::int64_t, 4>>();
    const auto size = c.at("size").get<std::int64_t>();
    return data::crop_resize(image, {box[0], box[1], box[2], box[3]}, size, size);
  }
  if (stage.starts_with("jitter")) {
    const json& jitter = jitter_of(c, stage);
    data::apply_jitter(image, {kind_of(jitter.at(0).get<std::string>()), jitter.at(1).get<double>()});
  } else if (stage == "grayscale") {
    data::grayscale(image);
  } else if (stage == "blur") {
    data::gaussian_blur(image, c.at("blur").get<double>());
  } else if (stage == "flip") {
    data::flip(image);
  } else {
    fail("augment.json: unknown stage {}", stage);
  }
  return image;
}

// The stages that the case's parameters ask for, in their order.
std::vector<std::string> stages_of(const json& c) {
  std::vector<std::string> stages{"decode", "crop"};
  if (!c.at("jitter").is_null())
    for (std::size_t i = 1; i <= c.at("jitter").size(); ++i) stages.push_back(fmt::format("jitter{}", i));
  for (const char* name : {"grayscale", "blur", "flip"})
    if (!c.at(name).is_null()) stages.emplace_back(name);
  return stages;
}

void compare(const Image& got, const Image& expected, StageResult& result) {
  if (got.width != expected.width || got.height != expected.height) {
    result.error = fmt::format("got {}x{}, the reference has {}x{}", got.width, got.height, expected.width,
                               expected.height);
    return;
  }
  std::size_t differing = 0;
  for (std::size_t i = 0; i < got.pixels.size(); ++i) {
    const int difference = std::abs(got.pixels[i] - expected.pixels[i]);
    differing += difference != 0 ? 1 : 0;
    result.levels = std::max(result.levels, difference);
  }
  result.share = static_cast<double>(differing) / static_cast<double>(got.pixels.size());
}

// A picture that we refuse and the reference reads is a disagreement like any other.
void compare_decoded(const std::filesystem::path& path, const Image& expected, StageResult& result) {
  const auto bytes = data::read_file(path);
  try {
    compare(data::decode(bytes, path.filename().string()), expected, result);
  } catch (const Error& error) {
    result.error = error.what();
  }
}

void run_case(const std::filesystem::path& folder, const json& c, std::vector<StageResult>& results) {
  const auto file = c.at("file").get<std::string>();
  const auto expected_stages = stages_of(c);
  const json& stages = c.at("stages");
  check(stages.size() == expected_stages.size(), "augment.json: {} has {} stages, its parameters ask for {}",
        file, stages.size(), expected_stages.size());
  Image previous;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto stage = stages[i].at("stage").get<std::string>();
    check(stage == expected_stages[i], "augment.json: {} has stage {} where {} belongs", file, stage,
          expected_stages[i]);
    StageResult result{
        .name = fmt::format("{} {}", file, stage), .jitter = stage.starts_with("jitter"), .error = {}};
    if (result.jitter) result.name += fmt::format(" ({})", jitter_of(c, stage).at(0).get<std::string>());
    Image expected = read_picture(folder / stages[i].at("png").get<std::string>());
    if (sha256(expected.pixels) != stages[i].at("sha256").get<std::string>())
      result.error = "the reference's picture and its SHA-256 contradict each other";
    else if (i == 0)
      compare_decoded(folder / file, expected, result);
    else
      compare(run_stage(c, stage, std::move(previous)), expected, result);
    results.push_back(std::move(result));
    previous = std::move(expected);
  }
}

}  // namespace

std::vector<StageResult> run_augment_cases(const std::filesystem::path& folder) {
  const auto path = folder / "augment.json";
  std::ifstream in(path);
  check(in.is_open(), "{}: cannot be opened", path.string());
  std::vector<StageResult> results;
  try {
    const json file = json::parse(in);
    for (const auto& c : file.at("cases")) run_case(folder, c, results);
  } catch (const json::exception& error) {
    fail("{}: not a set of augmentation cases: {}", path.string(), error.what());
  }
  check(!results.empty(), "{}: no cases", path.string());
  return results;
}

std::string sha256(std::span<const std::uint8_t> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  check(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1,
        "sha256: libcrypto refuses");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace dcl::test
