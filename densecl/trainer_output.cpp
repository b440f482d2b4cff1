#include "densecl/trainer_output.h"

#include <filesystem>
#include <optional>

#include "densecl/checkpoint_folder.h"
#include "densecl/report/line_file.h"
#include "tensor/check.h"

namespace dcl::densecl {

namespace fs = std::filesystem;

namespace {

// The checkpoint of the output folder that --resume names, or nothing: it is one of another folder, none at
// all, or left to be found.
std::optional<fs::path> named_checkpoint(const TrainConfig& config) {
  if (config.resume.empty() || config.resume == "auto") return std::nullopt;
  std::error_code error;
  const fs::path file = fs::canonical(config.resume, error);
  if (error || !fs::equivalent(file.parent_path(), config.output_dir, error) || error) return std::nullopt;
  return fs::path(config.output_dir) / file.filename();
}

bool holds_a_run(const fs::path& folder) {
  std::error_code error;
  return holds_checkpoints(folder) || fs::exists(folder / "metrics.jsonl", error);
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
  const bool from_elsewhere = !config.resume.empty() && config.resume != "auto" && !named_checkpoint(config);
  check(!from_elsewhere || !fs::exists(config.resume, error) || !holds_a_run(config.output_dir),
        "--output-dir {}: holds a run that --resume {} is not of; --resume auto goes on with the one there",
        config.output_dir, config.resume);
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
  // What is newer than a checkpoint that was named is of a branch that is given up: should this run be killed
  // before it saves, --resume auto must not go back to it.
  if (const auto named = named_checkpoint(config)) link_latest(*named);
}

}  // namespace dcl::densecl
