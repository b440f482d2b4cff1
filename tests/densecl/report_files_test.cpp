// Event files, charts and the whole report of a run.
#include <bit>
#include <cmath>
#include <fstream>
#include <map>
#include <regex>

#include <gtest/gtest.h>
#include <unistd.h>

#include "densecl/report/chart.h"
#include "densecl/report/event_file.h"
#include "densecl/report/metrics.h"
#include "densecl/report/run_report.h"
#include "tensor/check.h"

namespace dcl::densecl::report {
namespace {

namespace fs = std::filesystem;

class ReportFiles : public testing::Test {
 protected:
  ReportFiles() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ReportFiles() override { fs::remove_all(folder_); }

  std::string get(const std::string& name) const { return read_text_file(folder_ / name); }
  // Event files, oldest first.
  std::vector<fs::path> event_files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().filename().string().find("tfevents") != std::string::npos)
        files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  const fs::path folder_ = fs::temp_directory_path() / fmt::format("dcl_report_files_{}", ::getpid());
};

std::string hex(const std::string& bytes) {
  std::string text;
  for (const unsigned char c : bytes) text += fmt::format("{:02x}", c);
  return text;
}

// RFC 3720, B.4, and the check value of the CRC catalogue.
TEST_F(ReportFiles, Crc32cKnowsItsVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AA);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43);
  EXPECT_EQ(crc32c(""), 0U);
}

// Bytes made by TensorBoard 2.21's own writer and protobuf.
TEST_F(ReportFiles, EventsAreTensorBoardsBytes) {
  EXPECT_EQ(hex(tfrecord("hello")), "0500000000000000eab2043e68656c6c6fbb1f1c19");
  EXPECT_EQ(hex(version_event(1700000000.25)), "0900001040fc54d9411a0d627261696e2e4576656e743a32");
  EXPECT_EQ(hex(session_start_event(1700000000.25, 300)), "0900001040fc54d94110ac023a020801");
  EXPECT_EQ(hex(scalars_event(1700000000.25, 1234567, {{"train/loss", 8.68}, {"train/acc1", 0.125}})),
            "0900001040fc54d9411087ad4b2a260a110a0a747261696e2f6c6f73731548e10a410a110a0a747261696e2f61636331"
            "15000000"
            "3e");
}

// A decoder of its own for the fields an event may have; it knows nothing of the encoder.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool more() const { return !bytes_.empty(); }
  std::uint64_t fixed(std::size_t width) {
    const std::string_view part = bytes(width);
    std::uint64_t value = 0;
    for (std::size_t i = width; i > 0; --i) value = value << 8 | static_cast<unsigned char>(part[i - 1]);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint64_t byte = fixed(1);
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view bytes(std::size_t count) {
    check(count <= bytes_.size(), "record ends early");
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }

 private:
  std::string_view bytes_;
};

// Field number -> raw values: varints and fixed ones as numbers in decimal, the rest as bytes.
std::multimap<std::uint64_t, std::string> fields(std::string_view message) {
  std::multimap<std::uint64_t, std::string> result;
  for (Reader reader(message); reader.more();) {
    const std::uint64_t tag = reader.varint();
    const auto value = [&]() -> std::string {
      switch (tag & 7) {
        case 0:
          return std::to_string(reader.varint());
        case 1:
          return std::to_string(reader.fixed(8));
        case 5:
          return std::to_string(reader.fixed(4));
        case 2:
          return std::string(reader.bytes(reader.varint()));
        default:
          fail("wire type {}", tag & 7);
      }
    };
    result.emplace(tag >> 3, value());
  }
  return result;
}

struct Scalar {
  std::int64_t step;
  std::string tag;
  float value;
};

struct Events {
  std::string version;
  std::int64_t session_start = -1;
  std::vector<Scalar> scalars;
};

Events decode(const std::string& file) {
  Events events;
  for (Reader reader(file); reader.more();) {
    const std::string length(reader.bytes(8));
    EXPECT_EQ(reader.fixed(4), masked_crc32c(length));
    const std::string payload(reader.bytes(Reader(length).fixed(8)));
    EXPECT_EQ(reader.fixed(4), masked_crc32c(payload));
    const auto event = fields(payload);
    const std::int64_t step = event.contains(2) ? std::stoll(event.find(2)->second) : 0;
    if (event.contains(3)) events.version = event.find(3)->second;
    if (event.contains(7)) events.session_start = step;
    if (!event.contains(5)) continue;
    const auto summary = fields(event.find(5)->second);
    for (auto [value, end] = summary.equal_range(1); value != end; ++value) {
      const auto parts = fields(value->second);
      const auto bits = static_cast<std::uint32_t>(std::stoull(parts.find(2)->second));
      events.scalars.push_back({step, parts.find(1)->second, std::bit_cast<float>(bits)});
    }
  }
  return events;
}

TEST_F(ReportFiles, TicksAreRound) {
  EXPECT_EQ(ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks(3, 98, 4), (std::vector<double>{50}));
  EXPECT_EQ(ticks(-1, 1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  EXPECT_EQ(ticks(5, 5, 4), (std::vector<double>{5}));
  EXPECT_FALSE(ticks(3.1, 3.2, 1).empty());
  EXPECT_TRUE(ticks(0, std::nan(""), 4).empty());
}

TEST_F(ReportFiles, SmoothingKeepsSlopesAndStepsOverHoles) {
  std::vector<DataPoint> slope;
  for (int i = 0; i < 50; ++i) slope.push_back({static_cast<double>(i), 3.0 * i});
  const auto same = smoothed(slope, 5);
  for (std::size_t i = 5; i < 45; ++i) EXPECT_NEAR(same[i].y, slope[i].y, 1e-9);
  const std::vector<DataPoint> spike = {{0, 0}, {1, 0}, {2, 9}, {3, 0}, {4, 0}};
  EXPECT_EQ(smoothed(spike, 1)[1].y, 3);
  EXPECT_EQ(smoothed(spike, 0)[2].y, 9);
  const std::vector<DataPoint> hole = {{0, 2}, {1, std::nan("")}, {2, 4}};
  EXPECT_EQ(smoothed(hole, 1)[1].y, 3);
}

TEST_F(ReportFiles, ThinningKeepsExtremes) {
  std::vector<DataPoint> points;
  for (int i = 0; i < 10000; ++i) points.push_back({static_cast<double>(i), i == 4567 ? 99.0 : std::sin(i)});
  const auto kept = thinned(points, 100);
  EXPECT_LE(kept.size(), 200U);
  EXPECT_TRUE(std::any_of(kept.begin(), kept.end(), [](const auto& p) { return p.x == 4567 && p.y == 99; }));
  EXPECT_TRUE(
      std::is_sorted(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.x < b.x; }));
  EXPECT_EQ(thinned(points, 5000).size(), points.size());
}

TEST_F(ReportFiles, ChartsPutPointsWhereTheyBelong) {
  Panel panel{.title = "a < b & c"};
  panel.low = 0;
  panel.high = 10;
  panel.lines.push_back(
      {.label = "", .color = "#123456", .points = {{0, 0}, {50, std::nan("")}, {100, 10}, {200, 5}}});
  const std::string svg = to_svg({.title = "t", .x_label = "x", .panels = {panel}});
  EXPECT_NE(svg.find("a &lt; b &amp; c"), std::string::npos);
  std::smatch match;
  ASSERT_TRUE(std::regex_search(
      svg, match,
      std::regex(
          R"re(d="M([\d.]+) ([\d.]+)M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" fill="none" stroke="#123456")re")));
  const auto number = [&](std::size_t i) { return std::stod(match[i]); };
  // x: 0, 100, 200 are evenly spaced; y: 0, 10, 5 downwards.
  EXPECT_NEAR(number(3) - number(1), number(5) - number(3), 0.15);
  EXPECT_GT(number(3) - number(1), 300);
  EXPECT_GT(number(2) - number(4), 300);
  EXPECT_NEAR(number(6), (number(2) + number(4)) / 2, 0.15);
}

StepRecord record(std::int64_t step, bool log) {
  StepRecord r;
  r.epochs = 2;
  r.iters_per_epoch = 4;
  r.epoch = step / 4 + 1;
  r.iter = step % 4 + 1;
  r.step = step;
  r.queue_fill = std::min(1.0, 0.25 * static_cast<double>(step + 1));
  r.losses = {
      {"loss_contra_single", 2}, {"loss_contra_dense", 1}, {"loss", 3 - 0.25 * static_cast<double>(step)}};
  r.log = log;
  return r;
}

void report_steps(Observer& report, std::int64_t first, std::int64_t end) {
  for (std::int64_t step = first; step < end; ++step) report.on_step(record(step, step % 2 == 1));
}

TEST_F(ReportFiles, ARunLeavesItsFiles) {
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  {
    RunReport report({.folder = folder_, .console = console});
    report.on_start("block, line 1\nblock, line 2");
    report_steps(report, 0, 5);
    report.on_message(Level::warning, "a.jpg: truncated, replaced");
    EXPECT_EQ(read_metrics(folder_ / "metrics.jsonl").size(), 2U) << "not flushed";
    EXPECT_TRUE(fs::exists(folder_ / "loss.svg")) << "not drawn at the end of the epoch";
    report_steps(report, 5, 8);
    report.on_finish();
    EXPECT_TRUE(report.complete());
  }
  std::fclose(console);
  const std::string log = get("train.log");
  EXPECT_EQ(get("console"), log);
  EXPECT_TRUE(log.starts_with("block, line 1\nblock, line 2\nEpoch [1][2/4]  lr"));
  EXPECT_NE(log.find("\nwarning: a.jpg: truncated, replaced\nEpoch [2][2/4]"), std::string::npos);
  const auto rows = read_metrics(folder_ / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[3].step, 7);
  EXPECT_NE(get("loss.svg").find("peak 2.75 at step 1"), std::string::npos);

  ASSERT_EQ(event_files().size(), 1U);
  const Events events = decode(read_text_file(event_files()[0]));
  EXPECT_EQ(events.version, "brain.Event:2");
  EXPECT_EQ(events.session_start, -1);
  std::map<std::int64_t, float> losses;
  for (const auto& scalar : events.scalars)
    if (scalar.tag == "train/loss") losses[scalar.step] = scalar.value;
  EXPECT_EQ(losses, (std::map<std::int64_t, float>{{1, 2.75F}, {3, 2.25F}, {5, 1.75F}, {7, 1.25F}}));
}

TEST_F(ReportFiles, AResumedRunReplacesWhatLiesAfterTheCheckpoint) {
  {
    RunReport report({.folder = folder_});
    report.on_start("block");
    report_steps(report, 0, 8);
  }
  const std::string whole = get("metrics.jsonl");
  {
    RunReport report({.folder = folder_, .after_step = 4});
    report.on_start("resumed");
    report_steps(report, 5, 8);
  }
  EXPECT_EQ(get("metrics.jsonl"), whole);
  const std::string log = get("train.log");
  EXPECT_TRUE(std::regex_search(
      log, std::regex(R"(^block\n.*2/4.*\n.*4/4.*\nresumed\nEpoch \[2\]\[2/4\].*\nEpoch \[2\]\[4/4\])")))
      << log;
  ASSERT_EQ(event_files().size(), 2U);
  EXPECT_EQ(decode(read_text_file(event_files()[1])).session_start, 5);
  {
    RunReport afresh({.folder = folder_});
  }
  EXPECT_EQ(get("train.log") + get("metrics.jsonl"), "");
  EXPECT_EQ(event_files().size(), 1U);
  EXPECT_FALSE(fs::exists(folder_ / "loss.svg"));
}

TEST_F(ReportFiles, AFullDiskDoesNotStopTheRunAndIsSaidOnce) {
  std::FILE* console = std::fopen((folder_ / "console").c_str(), "w");
  std::vector<std::unique_ptr<Observer>> parts;
  parts.push_back(console_report(console));
  parts.push_back(metrics_report("/dev/full"));
  parts.push_back(log_file_report(folder_ / "train.log"));
  RunReport report(std::move(parts));
  report.on_start("block");
  report_steps(report, 0, 4);
  report.on_finish();
  std::fclose(console);
  EXPECT_FALSE(report.complete());
  const std::string shown = get("console");
  const std::string said = "error: /dev/full: writing failed (No space left on device); the run goes on\n";
  const std::size_t at = shown.find(said);
  ASSERT_NE(at, std::string::npos) << shown;
  EXPECT_EQ(shown.find("/dev/full", at + said.size()), std::string::npos);
  EXPECT_NE(get("train.log").find("Epoch [1][4/4]"), std::string::npos);
}

TEST_F(ReportFiles, AFolderThatCannotBeWrittenIsAnError) {
  EXPECT_THROW(RunReport({.folder = folder_ / "missing"}), Error);
  EXPECT_THROW(RunReport({.folder = "/proc"}), Error);
}

}  // namespace
}  // namespace dcl::densecl::report
