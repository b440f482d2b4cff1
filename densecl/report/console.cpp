#include "densecl/report/console.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace dcl::densecl::report {
namespace {

constexpr int kBarCells = 24;
constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr std::string_view kToLineStart = "\r\x1b[2K";  // and erase the line

bool is_terminal(std::FILE* out) {
  const char* term = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe)
  return ::isatty(::fileno(out)) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

std::size_t terminal_columns(std::FILE* out) {
  winsize size{};
  const bool known = ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e15) return "?";
  const auto whole = static_cast<long long>(std::llround(seconds));
  const long long days = whole / 86400;
  const std::string clock =
      fmt::format("{}:{:02}:{:02}", whole % 86400 / 3600, whole % 3600 / 60, whole % 60);
  return days == 0 ? clock : fmt::format("{} day{}, {}", days, days == 1 ? "" : "s", clock);
}

std::string draw_bar(double share, int cells) {
  constexpr std::string_view kParts[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double filled = std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0);
  const int eighths = static_cast<int>(filled * cells * 8);
  std::string bar = "|";
  for (int cell = 0; cell < cells; ++cell)
    bar += eighths >= 8 * (cell + 1) ? "█" : kParts[std::max(eighths - 8 * cell, 0)];
  return bar + fmt::format("| {:3}%", static_cast<int>(filled * 100));
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size() && seen < columns; ++seen) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  }
  return text.substr(0, end);
}

Console::Console(std::FILE* out) : Console(out, is_terminal(out)) {}

void Console::write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

void Console::line(std::string_view text) {
  if (drawn_.empty()) return write(std::string(text) + "\n");
  write(fmt::format("{}{}\n{}", kToLineStart, text, drawn_));
}

void Console::bar(double share, std::string_view text) {
  if (!draws_bar_) return;
  const auto now = std::chrono::steady_clock::now();
  if (!drawn_.empty() && now - drawn_at_ < kRedrawEvery && share < 1) return;
  const std::string whole = fmt::format("{} {}", draw_bar(share, kBarCells), text);
  // One column is left free: a full line would wrap, and the next redraw would leave it behind.
  drawn_ = std::string(first_columns(whole, terminal_columns(out_) - 1));
  drawn_at_ = now;
  write(fmt::format("{}{}", kToLineStart, drawn_));
}

void Console::clear_bar() {
  if (!drawn_.empty()) write(kToLineStart);
  drawn_.clear();
}

}  // namespace dcl::densecl::report
