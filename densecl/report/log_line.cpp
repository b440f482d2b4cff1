#include "densecl/report/log_line.h"

#include <charconv>
#include <cmath>

#include <fmt/core.h>

#include "densecl/report/console.h"

namespace dcl::densecl::report {
namespace {

// "Full" is said only when it is.
std::string percent(double share) { return fmt::format("{}%", static_cast<int>(std::floor(100 * share))); }

// Reads "TEXT<number>" off the front of `line`.
bool take(std::string_view& line, std::string_view text, std::int64_t& number) {
  if (!line.starts_with(text)) return false;
  line.remove_prefix(text.size());
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  return error == std::errc() && number > 0;
}

}  // namespace

std::string log_line(const StepRecord& r) {
  std::string line = fmt::format(
      "Epoch [{}][{}/{}]  lr: {:.3e}, eta: {}, time: {:.3f}, data_time: {:.3f}, memory: {}", r.epoch, r.iter,
      r.iters_per_epoch, r.lr, format_duration(r.eta_s), r.time, r.data_time, r.memory_mib);
  for (const auto& [name, value] : r.losses) line += fmt::format(", {}: {:.4f}", name, value);
  line += fmt::format(", pictures/s: {:.1f}, acc1: {:.4f}, queue: {}, batches ready: {:.1f}",
                      r.pictures_per_s, r.acc1, percent(r.queue_fill), r.batches_ready);
  if (r.replaced > 0) line += fmt::format(", replaced: {}", r.replaced);
  return line;
}

std::string bar_text(const StepRecord& r) {
  std::string text = fmt::format("Epoch [{}/{}][{}/{}] eta: {}", r.epoch, r.epochs, r.iter, r.iters_per_epoch,
                                 format_duration(r.eta_s));
  if (!r.losses.empty()) text += fmt::format(", {}: {:.4f}", r.losses.back().first, r.losses.back().second);
  text += fmt::format(
      ", acc1: {:.4f}, queue: {}, pictures/s: {:.1f}, time: {:.3f}, data_time: {:.3f}, batches ready: "
      "{:.1f}, lr: {:.3e}, memory: {}",
      r.acc1, percent(r.queue_fill), r.pictures_per_s, r.time, r.data_time, r.batches_ready, r.lr,
      r.memory_mib);
  for (std::size_t i = 0; i + 1 < r.losses.size(); ++i)
    text += fmt::format(", {}: {:.4f}", r.losses[i].first, r.losses[i].second);
  return text;
}

std::optional<std::int64_t> step_of_log_line(std::string_view line) {
  std::int64_t epoch = 0;
  std::int64_t iter = 0;
  std::int64_t iters = 0;
  if (!take(line, "Epoch [", epoch) || !take(line, "][", iter) || !take(line, "/", iters)) return {};
  if (!line.starts_with("]")) return {};
  return (epoch - 1) * iters + iter - 1;
}

}  // namespace dcl::densecl::report
