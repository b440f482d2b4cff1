#include "densecl/trainer_output.h"

#include <filesystem>

#include "densecl/checkpoint_folder.h"
#include "tensor/check.h"
#include "tensor/io/file_descriptor.h"

namespace dcl::densecl {

namespace fs = std::filesystem;

namespace {

void write_all(int descriptor, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) tensor::io::throw_system_error(path, "cannot be written");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void check_output_folder(const TrainConfig& config) {
  std::error_code error;
  const fs::file_status status = fs::status(config.output_dir, error);
  if (status.type() == fs::file_type::not_found) return;
  check(status.type() == fs::file_type::directory, "--output-dir {}: {}", config.output_dir,
        error ? error.message() : "is not a folder");
  check(
      !holds_checkpoints(config.output_dir) || !config.resume.empty() || config.overwrite,
      "--output-dir {}: holds checkpoints of a run; --resume auto goes on with it, --overwrite removes them",
      config.output_dir);
}

void prepare_output_folder(const TrainConfig& config) {
  std::error_code error;
  fs::create_directories(config.output_dir, error);
  check(!error, "--output-dir {}: cannot be made ({})", config.output_dir, error.message());
  replace_file(fs::path(config.output_dir) / "config.toml", [&](int descriptor, const std::string& path) {
    write_all(descriptor, path, to_toml(config));
  });
  if (config.overwrite) remove_checkpoints(config.output_dir);
  remove_interrupted_saves(config.output_dir);
}

}  // namespace dcl::densecl
