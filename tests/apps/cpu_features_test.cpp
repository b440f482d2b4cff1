// DCL_CPU_FEATURES as a user of the programs sees it: other kernels run, the log says which, and the losses
// are the same up to rounding.
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/apps/training_run.h"

namespace {

using namespace dcl::test;

// Sets the variable for the programs that are started while it lives.
class Limit {
 public:
  explicit Limit(const char* name) {
    if (const char* set = std::getenv("DCL_CPU_FEATURES")) before_ = set;
    ::setenv("DCL_CPU_FEATURES", name, 1);
  }
  ~Limit() {
    if (before_) {
      ::setenv("DCL_CPU_FEATURES", before_->c_str(), 1);
    } else {
      ::unsetenv("DCL_CPU_FEATURES");
    }
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  std::optional<std::string> before_;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(CpuFeatures, VersionNamesOtherPaths) {
  {
    const Limit limit("avx2");
    const std::string text = run_program("densecl_train", {"--version"}).out;
    for (const char* name : {"AVX3", "SkylakeX", "Cooperlake", "SapphireRapids"})
      EXPECT_FALSE(has(text, name)) << text;
  }
  const Limit limit("baseline");
  const std::string text = run_program("densecl_train", {"--version"}).out;
  for (const char* name : {"AVX", "SSE", "Haswell", "Zen"}) EXPECT_FALSE(has(text, name)) << text;
  EXPECT_TRUE(has(text, "packed 6x")) << text;
}

TEST(CpuFeatures, LogNamesThem) {
  const TrainingPlace place;
  const Limit limit("baseline");
  const auto result = place.train("limited", {"--max-iters", "1"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(has(read_bytes(place.path("limited/train.log")), "processor: baseline")) << result.out;
}

TEST(CpuFeatures, OtherNamesAreRefusedBeforeAnythingIsWritten) {
  const TrainingPlace place;
  const Limit limit("sse9");
  const std::string line =
      ": DCL_CPU_FEATURES is \"sse9\", expected one of \"baseline\", \"avx2\", \"avx512\", \"amx\"\n";
  const std::string out = place.path("never").string();
  const auto trained = place.train("never");
  EXPECT_EQ(trained.status, 2);
  EXPECT_EQ(trained.err, "densecl_train" + line);
  const std::string photos = place.path("photos").string();
  for (const auto& [program, arguments] :
       {std::pair<std::string, std::vector<std::string>>("densecl_scenes", {out}),
        {"densecl_pack", {photos, out + ".lmdb"}},
        {"densecl_views", {photos, "-o", out + ".png"}}}) {
    const auto result = run_program(program, arguments);
    EXPECT_EQ(result.status, 2) << program;
    EXPECT_EQ(result.err, program + line);
  }
  for (const char* name : {"never", "never.lmdb", "never.png"})
    EXPECT_FALSE(std::filesystem::exists(place.path(name))) << name;
}

}  // namespace
