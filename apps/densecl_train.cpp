// densecl_train FOLDER: pre-trains a ResNet with DenseCL or MoCo-v2.
//
// Exit status 0: the run is complete, or a signal ended it and its state is saved; 1: it failed; 2: the
// command line or a configuration cannot be understood; 3: it went on to its end, but something could not be
// written.
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include "apps/support/command_line.h"
#include "apps/support/flags.h"
#include "apps/support/signals.h"
#include "densecl/report/run_report.h"
#include "densecl/trainer.h"
#include "densecl/trainer_output.h"
#include "tensor/cpu/features.h"

namespace {

using dcl::apps::kFailed;
using dcl::apps::kUsedWrongly;
using dcl::densecl::TrainConfig;
using dcl::densecl::Trainer;
using dcl::densecl::report::RunReport;

constexpr int kNotAllWritten = 3;

int complain(const std::exception& error, int status) {
  std::cerr << "densecl_train: " << error.what() << '\n';
  return status;
}

RunReport open_report(const TrainConfig& config, const Trainer& trainer) {
  std::optional<std::int64_t> after_step;
  if (trainer.position().step > 0) after_step = trainer.position().step - 1;
  return RunReport({.folder = config.output_dir, .console = stdout, .after_step = after_step});
}

int train(const TrainConfig& config) {
  check_output_folder(config);
  dcl::apps::catch_stop_signals();
  Trainer trainer(config);
  prepare_output_folder(config);
  RunReport report = open_report(config, trainer);
  try {
    const auto result = trainer.run(report, dcl::apps::stop_requested);
    return result.all_saved && report.complete() ? 0 : kNotAllWritten;
  } catch (const std::exception& error) {
    report.on_message(dcl::densecl::report::Level::error, error.what());
    report.on_finish();
    throw;
  }
}

}  // namespace

int main(int argc, char** argv) {
  TrainConfig config;
  try {
    std::string answer;
    const auto flags = dcl::apps::parse_train_flags(argc, argv, &answer);
    if (!flags) {
      std::cout << answer;
      return 0;
    }
    check_config(*flags);
    dcl::tensor::cpu::check_cpu_environment();
    config = resolved(*flags);
  } catch (const std::exception& error) {
    return complain(error, kUsedWrongly);
  }
  try {
    return train(config);
  } catch (const std::exception& error) {
    return complain(error, kFailed);
  }
}
