// The table and the trace of a recording.
#include "densecl/report/profile_report.h"

#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/ops/op_table.h"
#include "tests/support/pictures.h"

namespace dcl::densecl::report {
namespace {

using namespace std::chrono_literals;
using test::expect_error;

void op(const char* name, const tensor::Work& work, const std::string& detail = {}) {
  const tensor::ProfileScope scope(name);
  tensor::count_work(work, detail);
  std::this_thread::sleep_for(2ms);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST(ProfileTable, HasTheLargestFirstAndWhatLiesBetween) {
  tensor::ProfileRecording recording;
  op("small(x)", {0, 0});
  op("large(x)", {4e6, 2e6}, "8 -> 9");
  op("large(x)", {4e6, 2e6}, "8 -> 9");
  const auto& events = recording.events();
  const double large = events[1].seconds + events[2].seconds;
  const double small = events[0].seconds;
  const double seconds = 2 * (large + small);
  const auto lines = lines_of(profile_table(recording, seconds, 2));
  ASSERT_EQ(lines.size(), 7U);  // head, two ops, between; empty, head, one size
  // A busy machine may have held the small one up for longer: what was measured says who is first.
  const bool as_named = large > small;
  const auto row = words_of(lines[as_named ? 1 : 2]);
  const auto other = words_of(lines[as_named ? 2 : 1]);
  ASSERT_EQ(row.size(), 6U) << lines[1];
  ASSERT_EQ(other.size(), 6U) << lines[2];
  EXPECT_EQ(row[0], "large");
  EXPECT_EQ(row[1], "1");  // two calls in two steps
  EXPECT_NEAR(std::stod(row[2]), large / 2 * 1e3, 1e-3);
  EXPECT_NEAR(std::stod(row[3]), 8e6 / large * 1e-9, 0.06);
  EXPECT_NEAR(std::stod(row[4]), 4e6 / large * 1e-9, 0.06);
  EXPECT_NEAR(std::stod(row[5]), 100 * large / seconds, 0.06);
  EXPECT_EQ(other[0], "small");
  EXPECT_EQ(other[3], "-");
  EXPECT_NE(lines[3].find("(between ops)"), std::string::npos);
  EXPECT_NE(lines[3].find("50.0%"), std::string::npos) << lines[3];
  EXPECT_NE(lines[6].find("large 8 -> 9"), std::string::npos);
  expect_error([&] { profile_table(recording, 1, 0); }, {"0 steps"});
}

TEST(StepProfile, RecordsTenStepsBehindTheFirstTwo) {
  const test::TemporaryFolder folder;
  StepProfile profile;
  for (int step = 0; step < 12; ++step) {
    profile.start_step();
    op("op(x)", {2e9, 1e6});
    EXPECT_EQ(profile.end_step(), step == 11) << step;
    EXPECT_EQ(profile.open(), step >= 2) << step;
  }
  const std::string table = profile.finish(folder.path() / "trace.json");
  EXPECT_EQ(words_of(lines_of(table)[1])[1], "1");
  EXPECT_FALSE(profile.open());
  std::ifstream in(folder.path() / "trace.json");
  const auto trace = nlohmann::json::parse(in).at("traceEvents");
  ASSERT_EQ(trace.size(), 10U);
  double end = 0;
  for (const auto& event : trace) {
    EXPECT_EQ(event.at("name"), "op");
    EXPECT_EQ(event.at("ph"), "X");
    EXPECT_EQ(event.at("args").at("GFLOP"), 2.0);
    EXPECT_GE(event.at("ts").get<double>(), end);  // microseconds
    EXPECT_GE(event.at("dur").get<double>(), 2000);
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
  }
}

TEST(Trace, ThatCannotBeWrittenIsNamed) {
  const test::TemporaryFolder folder;
  const tensor::ProfileRecording recording;
  const auto file = folder.path() / "nowhere/trace.json";
  expect_error([&] { write_trace(recording, file); }, {file.string(), "cannot be written"});
}

}  // namespace
}  // namespace dcl::densecl::report
