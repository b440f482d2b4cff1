// The command line of the small programs: what is understood, and the one line for what is not.
#include "apps/support/command_line.h"

#include <gtest/gtest.h>

#include "tensor/check.h"
#include "tests/support/run_program.h"

namespace {

using dcl::apps::CommandLine;

struct Values {
  std::string folder;
  std::string text = "none";
  std::int64_t count = 7;
  int quality = 90;
  bool overwrite = false;
  std::string method = "densecl";
};

struct Outcome {
  int status = 0;
  std::string err;
  Values values;
  bool ran = false;
};

Outcome run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "prog");
  Outcome outcome;
  Values& v = outcome.values;
  CommandLine line("prog", "A program.", [] { return std::string("prog 1"); });
  line.positional("OUT", v.folder, "folder");
  line.option("--text", v.text, "text");
  line.option("--count", v.count, "count", 1, 1000);
  line.option("--quality", v.quality, "quality", 1, 100);
  line.option("--overwrite", v.overwrite, "overwrite");
  line.choice("--method", v.method, "method",
              {{"densecl", "densecl"}, {"mocov2", "mocov2"}, {"moco_v2", "mocov2"}});
  line.check([&] { dcl::check(v.text != "bad", "--text: bad with --count {}", v.count); });
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  const auto body = [&] {
    outcome.ran = true;
    dcl::check(v.folder != "broken", "{}: broken", v.folder);
    return 5;
  };
  outcome.status = line.run(static_cast<int>(arguments.size()), arguments.data(), body);
  testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

TEST(CommandLine, ReadsValuesAndKeepsDefaults) {
  const Outcome plain = run({"x"});
  EXPECT_EQ(plain.status, 5);
  EXPECT_EQ(plain.values.folder, "x");
  EXPECT_EQ(plain.values.count, 7);
  EXPECT_EQ(plain.values.method, "densecl");
  const Outcome all = run({"--count", "010", "--quality=100", "x", "--overwrite", "--method", "moco_v2",
                           "--count", "12", "--text", ""});
  EXPECT_EQ(all.status, 5) << all.err;
  EXPECT_EQ(all.values.count, 12);  // the last, and decimal
  EXPECT_EQ(all.values.quality, 100);
  EXPECT_TRUE(all.values.overwrite);
  EXPECT_EQ(all.values.method, "mocov2");
  EXPECT_EQ(all.values.text, "");
  EXPECT_EQ(run({"x", "--count", "010"}).values.count, 10);
  for (const char* flag : {"--help", "--version"}) {
    EXPECT_EQ(run({flag}).status, 0);
    EXPECT_FALSE(run({flag}).ran);
  }
}

TEST(CommandLine, SaysWhatIsWrongInOneLine) {
  const std::vector<std::pair<std::vector<const char*>, std::string>> rows = {
      {{}, "prog: OUT is required\n"},
      {{"x", "--cuont", "5"}, "prog: unknown flag --cuont, did you mean --count?\n"},
      {{"--cuont=5"}, "prog: unknown flag --cuont, did you mean --count?\n"},
      {{"x", "y"}, "prog: unexpected argument 'y'\n"},
      {{"x", "--count"}, "prog: --count: expected a value\n"},
      {{"x", "--count", "0"}, "prog: --count: 0 is out of range, expected 1 to 1000\n"},
      {{"x", "--count", "99999999999999999999"},
       "prog: --count: 99999999999999999999 is out of range, expected 1 to 1000\n"},
      {{"x", "--count", "1.5"}, "prog: --count: '1.5' is not a whole number\n"},
      {{"x", "--count", ""}, "prog: --count: '' is not a whole number\n"},
      {{"x", "--quality", "101"}, "prog: --quality: 101 is out of range, expected 1 to 100\n"},
      {{"x", "--method", "byol"},
       "prog: --method: 'byol' is unknown, expected one of densecl, moco_v2, mocov2\n"},
      {{"x", "--text", "bad"}, "prog: --text: bad with --count 7\n"},
  };
  for (const auto& [arguments, message] : rows) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_EQ(outcome.err, message);
    EXPECT_FALSE(outcome.ran) << message;
  }
  const Outcome failed = run({"broken"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.err, "prog: broken: broken\n");
}

TEST(CommandLine, ScenesIsAProgramLikeThat) {
  const auto result = dcl::test::run_program("densecl_scenes", {"/nowhere/out", "--size", "192"});
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.err, "densecl_scenes: --size: \"192\" is not WIDTHxHEIGHT, such as 192x144\n");
  EXPECT_EQ(dcl::test::run_program("densecl_scenes", {"--version"}).out.substr(0, 15), "densecl_scenes ");
}

}  // namespace
