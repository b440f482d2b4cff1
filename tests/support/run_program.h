// Programs run as a user would run them.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace dcl::test {

struct ProgramResult {
  int status = 0;  // exit status, or minus the signal that ended it
  std::string out;
  std::string err;
  /// Lines of standard error.
  std::vector<std::string> err_lines() const;
};

/// A program of this build (bin/NAME) under way. Whoever lets go of it ends it.
class RunningProgram {
 public:
  /// `file_limit`: the most bytes a file of its may have (RLIMIT_FSIZE); 0: no limit.
  RunningProgram(const std::string& name, const std::vector<std::string>& arguments,
                 std::size_t file_limit = 0);
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void send(int signal) const;
  /// What it has written to standard output so far.
  std::string out() const;
  /// Waits until standard output holds `text`; false when it ended or the time was over before.
  bool wait_for(const std::string& text, std::chrono::seconds limit = std::chrono::seconds(200));
  /// Waits for its end; one that takes longer is killed and has status -SIGKILL.
  ProgramResult wait(std::chrono::seconds limit = std::chrono::seconds(300));

 private:
  bool ended();

  std::filesystem::path folder_;  // holds out and err
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace dcl::test
