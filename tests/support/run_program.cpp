#include "tests/support/run_program.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/check.h"

namespace dcl::test {

namespace {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "dcl_program_XXXXXX").string();
  check(::mkdtemp(name.data()) != nullptr, "{}: cannot be made", name);
  return name;
}

// Only what is allowed between fork and exec.
[[noreturn]] void become(char** argv, const char* out, const char* err, std::size_t file_limit) {
  for (const auto& [path, descriptor] : {std::pair(out, 1), std::pair(err, 2)})
    ::dup2(::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), descriptor);
  if (file_limit > 0) {
    const rlimit limit{file_limit, file_limit};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::execv(argv[0], argv);
  ::_exit(127);
}

}  // namespace

std::vector<std::string> ProgramResult::err_lines() const {
  std::vector<std::string> lines;
  std::istringstream text(err);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

RunningProgram::RunningProgram(const std::string& name, const std::vector<std::string>& arguments,
                               std::size_t file_limit)
    : folder_(make_folder()) {
  std::vector<std::string> all = {DCL_BINARY_DIR "/bin/" + name};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& each : all) argv.push_back(each.data());
  argv.push_back(nullptr);
  const std::string out = (folder_ / "out").string();
  const std::string err = (folder_ / "err").string();
  pid_ = ::fork();
  if (pid_ == 0) become(argv.data(), out.c_str(), err.c_str(), file_limit);
  check(pid_ > 0, "{}: cannot be started", name);
}

RunningProgram::~RunningProgram() {
  if (!ended()) {
    send(SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

void RunningProgram::send(int signal) const {
  if (!ended_) ::kill(pid_, signal);
}

std::string RunningProgram::out() const { return read_text(folder_ / "out"); }

bool RunningProgram::ended() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

bool RunningProgram::wait_for(const std::string& text, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    const bool last_look = ended();
    if (out().find(text) != std::string::npos) return true;
    if (last_look) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

ProgramResult RunningProgram::wait(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!ended() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  if (!ended_) {
    send(SIGKILL);
    ended_ = ::waitpid(pid_, &status_, 0) == pid_;
  }
  const int status = WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  return {status, out(), read_text(folder_ / "err")};
}

ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments) {
  return RunningProgram(name, arguments).wait();
}

}  // namespace dcl::test
