#include "densecl/report/run_report.h"

#include "densecl/report/console.h"
#include "densecl/report/event_file.h"
#include "densecl/report/line_file.h"
#include "densecl/report/log_line.h"
#include "densecl/report/metrics.h"
#include "densecl/report/plot.h"
#include "tensor/check.h"

namespace dcl::densecl::report {
namespace {

class ConsoleReport : public Observer {
 public:
  explicit ConsoleReport(std::FILE* out) : console_(out) {}
  void on_start(const std::string& block) override { console_.line(block); }
  void on_step(const StepRecord& record) override {
    if (record.log) console_.line(log_line(record));
    const auto steps = record.steps > 0 ? record.steps : record.epochs * record.iters_per_epoch;
    console_.bar(static_cast<double>(record.step + 1) / static_cast<double>(steps), bar_text(record));
  }
  void on_message(Level level, std::string_view line) override { console_.line(message_line(level, line)); }
  void on_finish() override { console_.clear_bar(); }

 private:
  Console console_;
};

class LogFileReport : public Observer {
 public:
  explicit LogFileReport(const std::filesystem::path& file) : file_(file, AppendFile::Mode::append) {}
  void on_start(const std::string& block) override { file_.write(block + "\n"); }
  void on_step(const StepRecord& record) override {
    if (record.log) file_.write(log_line(record) + "\n");
  }
  void on_message(Level level, std::string_view line) override {
    file_.write(message_line(level, line) + "\n");
  }
  void on_finish() override {}

 private:
  AppendFile file_;
};

// What only cares for steps that get a log line.
class StepsOnly : public Observer {
 public:
  void on_start(const std::string&) override {}
  void on_message(Level, std::string_view) override {}
  void on_finish() override {}
};

class MetricsReport : public StepsOnly {
 public:
  explicit MetricsReport(const std::filesystem::path& file) : file_(file, AppendFile::Mode::append) {}
  void on_step(const StepRecord& record) override {
    if (record.log) file_.write(metrics_line(record) + "\n");
  }

 private:
  AppendFile file_;
};

class TensorBoardReport : public StepsOnly {
 public:
  TensorBoardReport(const std::filesystem::path& folder, std::int64_t first_step)
      : file_(folder, first_step) {}
  void on_step(const StepRecord& record) override {
    if (!record.log) return;
    Scalars scalars;
    for (const auto& [name, value] : record.losses) scalars.emplace_back("train/" + name, value);
    scalars.emplace_back("train/acc1", record.acc1);
    scalars.emplace_back("train/queue_fill", record.queue_fill);
    scalars.emplace_back("learning_rate", record.lr);
    scalars.emplace_back("speed/pictures_per_s", record.pictures_per_s);
    scalars.emplace_back("speed/time", record.time);
    scalars.emplace_back("speed/data_time", record.data_time);
    scalars.emplace_back("speed/batches_ready", record.batches_ready);
    scalars.emplace_back("speed/memory_MiB", static_cast<double>(record.memory_mib));
    file_.write(record.step, scalars);
  }

 private:
  EventFile file_;
};

class PlotReport : public StepsOnly {
 public:
  explicit PlotReport(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void on_step(const StepRecord& record) override {
    current_ = record.iter == record.iters_per_epoch;
    if (current_) write_loss_plot(folder_);
  }
  void on_finish() override {
    if (!current_) write_loss_plot(folder_);
  }

 private:
  std::filesystem::path folder_;
  bool current_ = false;  // the plot shows the last step
};

std::vector<std::unique_ptr<Observer>> usual_parts(const ReportOptions& options) {
  const auto& folder = options.folder;
  const auto log = folder / "train.log";
  const auto metrics = folder / "metrics.jsonl";
  if (options.after_step) {
    truncate_reports(folder, *options.after_step);
  } else {
    for (const auto& file : {log, metrics}) AppendFile(file, AppendFile::Mode::replace);
    std::filesystem::remove(folder / "loss.svg");
    remove_event_files(folder);
  }
  std::vector<std::unique_ptr<Observer>> parts;
  if (options.console != nullptr) parts.push_back(console_report(options.console));
  parts.push_back(log_file_report(log));
  parts.push_back(metrics_report(metrics));
  parts.push_back(tensorboard_report(folder, options.after_step ? *options.after_step + 1 : 0));
  parts.push_back(plot_report(folder));
  return parts;
}

}  // namespace

std::string message_line(Level level, std::string_view line) {
  const char* prefix = level == Level::error ? "error: " : level == Level::warning ? "warning: " : "";
  return fmt::format("{}{}", prefix, line);
}

std::unique_ptr<Observer> console_report(std::FILE* out) { return std::make_unique<ConsoleReport>(out); }
std::unique_ptr<Observer> log_file_report(const std::filesystem::path& file) {
  return std::make_unique<LogFileReport>(file);
}
std::unique_ptr<Observer> metrics_report(const std::filesystem::path& file) {
  return std::make_unique<MetricsReport>(file);
}
std::unique_ptr<Observer> tensorboard_report(const std::filesystem::path& folder, std::int64_t first_step) {
  return std::make_unique<TensorBoardReport>(folder, first_step);
}
std::unique_ptr<Observer> plot_report(const std::filesystem::path& folder) {
  return std::make_unique<PlotReport>(folder);
}

RunReport::RunReport(const ReportOptions& options) try : RunReport(usual_parts(options)) {
} catch (const std::filesystem::filesystem_error& error) {
  fail("{}: {}", error.path1().string(), error.code().message());
}

RunReport::RunReport(std::vector<std::unique_ptr<Observer>> parts) {
  for (auto& part : parts) parts_.push_back({.observer = std::move(part)});
}

RunReport::~RunReport() = default;

template <class Call>
void RunReport::for_each_part(const Call& call) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    try {
      call(*parts_[i].observer);
    } catch (const std::exception& error) {
      complete_ = false;
      if (std::exchange(parts_[i].failed, true) || i == 0) continue;
      parts_.front().observer->on_message(Level::error, fmt::format("{}; the run goes on", error.what()));
    }
  }
}

void RunReport::on_start(const std::string& block) {
  for_each_part([&](Observer& part) { part.on_start(block); });
}

void RunReport::on_step(const StepRecord& record) {
  for_each_part([&](Observer& part) { part.on_step(record); });
}

void RunReport::on_message(Level level, std::string_view line) {
  for_each_part([&](Observer& part) { part.on_message(level, line); });
}

void RunReport::on_finish() {
  for_each_part([](Observer& part) { part.on_finish(); });
}

}  // namespace dcl::densecl::report
