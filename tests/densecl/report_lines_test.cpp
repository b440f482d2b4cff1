// What a step looks like: the log line, the progress bar, the metrics line; and cutting both files back.
#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "densecl/report/console.h"
#include "densecl/report/line_file.h"
#include "densecl/report/log_line.h"
#include "densecl/report/metrics.h"
#include "tensor/check.h"

namespace dcl::densecl::report {
namespace {

namespace fs = std::filesystem;

class ReportLines : public testing::Test {
 protected:
  ReportLines() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ReportLines() override { fs::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string get(const std::string& name) const { return read_text_file(folder_ / name); }

  const fs::path folder_ = fs::temp_directory_path() / fmt::format("dcl_report_lines_{}", ::getpid());
};

// The line of the published COCO run.
StepRecord published() {
  StepRecord r;
  r.epoch = 1;
  r.epochs = 800;
  r.iter = 50;
  r.iters_per_epoch = 462;
  r.step = 49;
  r.lr = 0.3;
  r.time = 0.912;
  r.data_time = 0.012;
  r.batches_ready = 2.875;
  r.eta_s = 86400 + 7384;
  r.memory_mib = 12516;
  r.pictures_per_s = 280.701;
  r.queue_fill = 0.1953125;
  r.acc1 = 0.125;
  r.losses = {{"loss_contra_single", 4.2904}, {"loss_contra_dense", 4.3897}, {"loss", 8.68}};
  r.log = true;
  return r;
}

TEST_F(ReportLines, LogLineIsMmcvs) {
  EXPECT_EQ(
      log_line(published()),
      "Epoch [1][50/462]  lr: 3.000e-01, eta: 1 day, 2:03:04, time: 0.912, data_time: 0.012, memory: 12516, "
      "loss_contra_single: 4.2904, loss_contra_dense: 4.3897, loss: 8.6800, pictures/s: 280.7, acc1: 0.1250, "
      "queue: 19%, batches ready: 2.9");
  StepRecord r = published();
  r.losses = {{"loss_contra", 7.5}, {"loss", 7.5}};
  r.queue_fill = 0.9999;  // not full
  r.replaced = 3;
  const std::string line = log_line(r);
  EXPECT_NE(line.find("memory: 12516, loss_contra: 7.5000, loss: 7.5000, pictures/s"), std::string::npos);
  EXPECT_TRUE(line.ends_with("queue: 99%, batches ready: 2.9, replaced: 3"));
}

// Python's str(datetime.timedelta(seconds=round(s))).
TEST_F(ReportLines, DurationsAreTimedeltas) {
  EXPECT_EQ(format_duration(0), "0:00:00");
  EXPECT_EQ(format_duration(5), "0:00:05");
  EXPECT_EQ(format_duration(59.6), "0:01:00");
  EXPECT_EQ(format_duration(7384), "2:03:04");
  EXPECT_EQ(format_duration(86399.6), "1 day, 0:00:00");
  EXPECT_EQ(format_duration(93784), "1 day, 2:03:04");
  EXPECT_EQ(format_duration(172859), "2 days, 0:00:59");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::quiet_NaN()), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
}

TEST_F(ReportLines, AStepIsReadBackFromItsLogLine) {
  EXPECT_EQ(step_of_log_line(log_line(published())), 49);
  StepRecord r = published();
  r.epoch = 3;
  r.iter = 462;
  EXPECT_EQ(step_of_log_line(log_line(r)), 3 * 462 - 1);
  for (const char* line : {"", "saved epoch_1.safetensors", "Epoch [1]", "Epoch [x][1/2]  lr",
                           "Epoch [1][0/5]  lr", "Epoch [1][5/", " Epoch [1][2/3]  lr"})
    EXPECT_FALSE(step_of_log_line(line)) << line;
}

TEST_F(ReportLines, MetricsCarryEveryKeyInOrder) {
  EXPECT_EQ(
      metrics_line(published()),
      R"({"epoch": 1, "iter": 50, "step": 49, "lr": 0.3, "time": 0.912, "data_time": 0.012, "memory": 12516, )"
      R"("eta_s": 93784, "pictures_per_s": 280.701, "queue_fill": 0.1953125, "acc1": 0.125, "replaced": 0, )"
      R"("batches_ready": 2.875, "loss_contra_single": 4.2904, "loss_contra_dense": 4.3897, "loss": 8.68})");
}

TEST_F(ReportLines, LossesKeepAllTheirBits) {
  StepRecord r = published();
  const double values[] = {1.0 / 3,
                           0.1 + 0.2,
                           static_cast<double>(8.680001F),
                           std::nextafter(8.68, 9.0),
                           5e-324,
                           1.7976931348623157e308,
                           -0.0,
                           123456789012345680.0};
  for (const double value : values) {
    r.losses = {{"loss", value}};
    const std::string line = metrics_line(r);
    const std::string text = line.substr(line.rfind(' ') + 1);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)),
              std::bit_cast<std::uint64_t>(value))
        << line;
    EXPECT_FALSE(nlohmann::json::parse(line, nullptr, false).is_discarded()) << line;
  }
  r.losses = {{"loss", std::numeric_limits<double>::quiet_NaN()}};
  EXPECT_TRUE(nlohmann::json::parse(metrics_line(r)).at("loss").is_null());
}

TEST_F(ReportLines, MetricsAreReadBack) {
  put("metrics.jsonl",
      metrics_line(published()) + "\nrubbish\n{\"step\": 50, \"loss\": null}\n{\"step\": 51, \"lo");
  const auto rows = read_metrics(folder_ / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].step, 49);
  EXPECT_EQ(rows[0].values.at("loss"), 8.68);
  EXPECT_EQ(rows[0].values.at("memory"), 12516);
  EXPECT_EQ(rows[1].step, 50);
  EXPECT_TRUE(std::isnan(rows[1].values.at("loss")));
  EXPECT_THROW(read_metrics(folder_ / "missing.jsonl"), Error);
}

TEST_F(ReportLines, ReportsAreCutBackToAStep) {
  const std::string log =
      "DenseCL on 8 threads\n"
      "Epoch [1][5/10]  lr: 1\n"
      "Epoch [1][10/10]  lr: 1\n"
      "saved epoch_1.safetensors\n";
  const std::string later = "Epoch [2][5/10]  lr: 1\nsaved epoch_2_iter_5.safetensors\nEpoch [2][10/1";
  const std::string metrics = "{\"step\": 4}\n{\"step\": 9}\n";
  put("train.log", log + later);
  put("metrics.jsonl", metrics + "{\"step\": 14}\n{\"step\": 19, \"loss\"");
  truncate_reports(folder_, 9);
  EXPECT_EQ(get("train.log"), log);
  EXPECT_EQ(get("metrics.jsonl"), metrics);
  truncate_reports(folder_, 8);
  EXPECT_EQ(get("train.log"), "DenseCL on 8 threads\nEpoch [1][5/10]  lr: 1\n");
  EXPECT_EQ(get("metrics.jsonl"), "{\"step\": 4}\n");
  truncate_reports(folder_, -1);
  EXPECT_EQ(get("train.log"), "DenseCL on 8 threads\n");
  EXPECT_EQ(get("metrics.jsonl"), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2)
      << "something is left behind";
}

TEST_F(ReportLines, ATornLastLineGoesAlsoWhereNothingIsLater) {
  put("metrics.jsonl", "{\"step\": 4}\n{\"step\": 5}");
  put("train.log", "Epoch [1][5/10]  lr: 1\nEpoch [1][6/10]  l");
  truncate_reports(folder_, 100);
  EXPECT_EQ(get("metrics.jsonl"), "{\"step\": 4}\n");
  EXPECT_EQ(get("train.log"), "Epoch [1][5/10]  lr: 1\n");
}

TEST_F(ReportLines, MissingReportsStayMissing) {
  truncate_reports(folder_, 5);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ReportLines, AppendingReachesTheFileAtOnce) {
  AppendFile file(folder_ / "a", AppendFile::Mode::replace);
  file.write("one\n");
  EXPECT_EQ(get("a"), "one\n");
  AppendFile(folder_ / "a", AppendFile::Mode::append).write("two\n");
  EXPECT_EQ(get("a"), "one\ntwo\n");
  EXPECT_THROW(AppendFile(folder_ / "a", AppendFile::Mode::create_new), Error);
  EXPECT_THROW(AppendFile(folder_ / "no" / "a", AppendFile::Mode::append), Error);
  EXPECT_THROW(AppendFile("/dev/full", AppendFile::Mode::append).write("x"), Error);
}

TEST_F(ReportLines, TheBarShowsTheShareInEighths) {
  EXPECT_EQ(draw_bar(0, 2), "|  |   0%");
  EXPECT_EQ(draw_bar(0.5, 2), "|█ |  50%");
  EXPECT_EQ(draw_bar(0.75, 2), "|█▌|  75%");
  EXPECT_EQ(draw_bar(1.0 / 16, 2), "|▏ |   6%");
  EXPECT_EQ(draw_bar(1, 2), "|██| 100%");
  EXPECT_EQ(draw_bar(7, 2), "|██| 100%");
  EXPECT_EQ(draw_bar(std::numeric_limits<double>::quiet_NaN(), 1), "| |   0%");
  EXPECT_EQ(first_columns("|█▌| 75%", 3), "|█▌");
  EXPECT_EQ(first_columns("abc", 9), "abc");
}

// A terminal's screen after the bytes of `output`: what is erased and overwritten is gone.
std::string screen(const std::string& output) {
  std::string done;
  std::string line;
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (output.compare(i, 5, "\r\x1b[2K") == 0) {
      line.clear();
      i += 4;
    } else if (output[i] == '\n') {
      done += line + "\n";
      line.clear();
    } else {
      line += output[i];
    }
  }
  return done + line;
}

TEST_F(ReportLines, LinesStandAboveTheBar) {
  std::FILE* file = std::fopen((folder_ / "tty").c_str(), "w");
  {
    Console console(file, true);
    console.line("first");
    console.bar(0.5, "half");
    console.line("second");
    console.bar(1, "all");
    const std::string shown = screen(get("tty"));
    EXPECT_TRUE(shown.starts_with("first\nsecond\n|")) << shown;
    EXPECT_TRUE(shown.ends_with("| 100% all")) << shown;
    EXPECT_EQ(shown.find("half"), std::string::npos);
  }
  EXPECT_EQ(screen(get("tty")), "first\nsecond\n");
  std::fclose(file);
}

TEST_F(ReportLines, AFileGetsPlainLines) {
  std::FILE* file = std::fopen((folder_ / "plain").c_str(), "w");
  {
    Console console(file);
    console.line("first");
    console.bar(0.5, "half");
    console.line("second");
  }
  std::fclose(file);
  EXPECT_EQ(get("plain"), "first\nsecond\n");
}

}  // namespace
}  // namespace dcl::densecl::report
