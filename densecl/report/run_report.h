// Everything that a run shows, behind the one interface the trainer knows.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "densecl/report/observer.h"

namespace dcl::densecl::report {

struct ReportOptions {
  std::filesystem::path folder;                 // exists already
  std::FILE* console = nullptr;                 // log lines and progress bar; null: only files
  std::optional<std::int64_t> after_step = {};  // a run resumed after this step (from 0); none: a new run
};

/// Writes to the console, and in the run's folder train.log, metrics.jsonl, TensorBoard events and, at the
/// end of each epoch and of the run, loss.svg. A new run replaces these files; a resumed one cuts off what
/// lies after the checkpoint and appends.
///
/// A file that cannot be written once the run goes on (a full disk) does not stop it: the console says so,
/// once for each file, and `complete()` is false from then on.
class RunReport : public Observer {
 public:
  /// Throws dcl::Error when the files cannot be made.
  explicit RunReport(const ReportOptions& options);
  /// For other parts than the usual ones; messages about a part that fails go to the first.
  explicit RunReport(std::vector<std::unique_ptr<Observer>> parts);
  ~RunReport() override;

  void on_start(const std::string& block) override;
  void on_step(const StepRecord& record) override;
  void on_message(Level level, std::string_view line) override;
  void on_finish() override;

  /// False once something could not be written.
  bool complete() const { return complete_; }

 private:
  struct Part {
    std::unique_ptr<Observer> observer;
    bool failed = false;  // and said so
  };
  std::vector<Part> parts_;
  bool complete_ = true;

  template <class Call>
  void for_each_part(const Call& call);
};

/// The line of a message: "warning: …" and "error: …" carry their level, information does not.
std::string message_line(Level level, std::string_view line);

std::unique_ptr<Observer> console_report(std::FILE* out);
std::unique_ptr<Observer> log_file_report(const std::filesystem::path& file);
std::unique_ptr<Observer> metrics_report(const std::filesystem::path& file);
std::unique_ptr<Observer> tensorboard_report(const std::filesystem::path& folder, std::int64_t first_step);
std::unique_ptr<Observer> plot_report(const std::filesystem::path& folder);

}  // namespace dcl::densecl::report
