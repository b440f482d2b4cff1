#include "apps/support/signals.h"

#include <csignal>
#include <initializer_list>

namespace dcl::apps {

namespace {

volatile std::sig_atomic_t stop = 0;

extern "C" void on_stop_signal(int signal) {
  stop = 1;
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);  // the next one is not caught any more
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  // A full disk or a closed pipe shall come back as an error of the write, not end the run.
  for (const int signal : {SIGXFSZ, SIGPIPE}) std::signal(signal, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
}

bool stop_requested() { return stop != 0; }

}  // namespace dcl::apps
