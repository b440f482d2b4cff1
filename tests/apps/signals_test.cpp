// Signals that end a run well, each in a process of its own.
#include "apps/support/signals.h"

#include <csignal>
#include <cstdlib>
#include <initializer_list>

#include <gtest/gtest.h>

namespace {

using dcl::apps::catch_stop_signals;
using dcl::apps::stop_requested;

// Leaves with `status` if the signals so far have only raised the flag.
void raise_all(std::initializer_list<int> signals, int status) {
  catch_stop_signals();
  if (stop_requested()) std::_Exit(1);
  for (const int signal : signals) std::raise(signal);
  std::_Exit(stop_requested() ? status : 1);
}

TEST(SignalsDeathTest, OneOfThemRaisesTheFlag) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1})
    EXPECT_EXIT(raise_all({signal}, 42), testing::ExitedWithCode(42), "") << signal;
}

TEST(SignalsDeathTest, OnlyASecondInterruptEndsTheProgramAtOnce) {
  EXPECT_EXIT(raise_all({SIGINT, SIGINT}, 42), testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(raise_all({SIGTERM, SIGINT, SIGINT}, 42), testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(raise_all({SIGTERM, SIGTERM, SIGUSR1, SIGINT}, 42), testing::ExitedWithCode(42), "");
}

TEST(SignalsDeathTest, AClosedPipeIsAnErrorOfTheWriteNotTheEnd) {
  EXPECT_EXIT(raise_all({SIGPIPE, SIGXFSZ, SIGTERM}, 42), testing::ExitedWithCode(42), "");
}

}  // namespace
