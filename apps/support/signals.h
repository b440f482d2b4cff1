// Signals that ask a run to end well.
#pragma once

namespace dcl::apps {

/// From now on SIGTERM, SIGINT and SIGUSR1 (which Slurm sends ahead of a time limit) only raise a flag. A
/// second SIGINT ends the program at once, as it would have without this.
void catch_stop_signals();
/// True once one of them has come.
bool stop_requested();

}  // namespace dcl::apps
