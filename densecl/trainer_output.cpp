#include "densecl/trainer_output.h"

#include <filesystem>

#include "densecl/checkpoint_folder.h"
#include "densecl/report/line_file.h"
#include "tensor/check.h"

namespace dcl::densecl {

namespace fs = std::filesystem;

namespace {

// True where the run would add to checkpoints that the one it goes on from does not belong to.
bool resumes_from_elsewhere(const TrainConfig& config) {
  if (config.resume.empty() || config.resume == "auto") return false;
  std::error_code error;
  const fs::path folder = fs::absolute(config.resume, error).parent_path();
  return !error && fs::exists(config.resume, error) && !fs::equivalent(folder, config.output_dir, error);
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
  check(!holds_checkpoints(config.output_dir) || !resumes_from_elsewhere(config),
        "--output-dir {}: holds checkpoints of another run than --resume {}", config.output_dir,
        config.resume);
}

void prepare_output_folder(const TrainConfig& config) {
  std::error_code error;
  fs::create_directories(config.output_dir, error);
  check(!error, "--output-dir {}: cannot be made ({})", config.output_dir, error.message());
  try {
    report::replace_file(fs::path(config.output_dir) / "config.toml", to_toml(config));
  } catch (const Error& failure) {
    fail("--output-dir {}: cannot be written: {}", config.output_dir, failure.what());
  }
  if (config.overwrite) remove_checkpoints(config.output_dir);
  remove_interrupted_saves(config.output_dir);
}

}  // namespace dcl::densecl
