// Lines and a progress bar on one output stream.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace dcl::densecl::report {

/// Seconds as Python prints a timedelta: "0:00:05", "2:03:04", "1 day, 2:03:04". Rounded to whole seconds;
/// "?" when negative or not finite.
std::string format_duration(double seconds);

/// Writes lines, and on a terminal a progress bar below them that is redrawn in place. Elsewhere the bar is
/// not drawn at all, so that files hold plain lines. A stream that cannot be written (a closed pipe) is
/// ignored: a run does not end because nobody watches it.
class Console {
 public:
  /// Draws the bar only if `out` is a terminal that can move its cursor (TERM is not "dumb").
  explicit Console(std::FILE* out);
  Console(std::FILE* out, bool draws_bar) : out_(out), draws_bar_(draws_bar) {}
  ~Console() { clear_bar(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  bool draws_bar() const { return draws_bar_; }
  /// Writes `text` and a newline above the bar.
  void line(std::string_view text);
  /// Redraws the bar, at most ten times a second unless `share` reaches 1. `share` is 0 to 1; `text` stands
  /// behind it, cut to the terminal's width.
  void bar(double share, std::string_view text);
  /// Removes the bar.
  void clear_bar();

 private:
  std::FILE* out_;
  bool draws_bar_;
  std::string drawn_;  // the bar on the screen, empty when there is none
  std::chrono::steady_clock::time_point drawn_at_{};

  void write(std::string_view text);
};

/// "|█████▍    |  42%", `cells` wide between the bars.
std::string draw_bar(double share, int cells);
/// The first `columns` characters (code points) of UTF-8 text.
std::string_view first_columns(std::string_view text, std::size_t columns);

}  // namespace dcl::densecl::report
