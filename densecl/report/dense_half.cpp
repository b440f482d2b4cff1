#include "densecl/report/dense_half.h"

#include <algorithm>
#include <vector>

#include "densecl/encoder.h"
#include "tensor/check.h"

namespace dcl::densecl::report {

namespace {

bool is_conv1x1(const tensor::ProfileEvent& event) {
  return event.name.starts_with("conv2d") && event.detail.starts_with("1x1 ");
}

std::string line_of(const char* what, const DenseHalf::Part& part) {
  return fmt::format("{}: {:.2f} GFLOP in {:.2f} ms, {:.1f} GFLOP/s", what, part.flop * 1e-9,
                     part.seconds * 1e3, part.rate() * 1e-9);
}

}  // namespace

std::string DenseHalf::str() const {
  return fmt::format("{}\n{}\ndense half's operations at that rate: {:.2f} ms; it took {:.2f} times that",
                     line_of("dense half of a step", dense), line_of("1x1 convolutions beside it", conv1x1),
                     seconds_at_that_rate() * 1e3, ratio());
}

DenseHalf dense_half(const tensor::ProfileRecording& recording, std::int64_t steps) {
  const auto& events = recording.events();
  const std::int64_t calls = std::ssize(events) / steps;
  DenseHalf result;
  std::vector<double> seconds(static_cast<std::size_t>(steps));
  for (std::int64_t i = 0; i < calls; ++i) {
    const auto& first = events[static_cast<std::size_t>(i)];
    for (std::int64_t step = 0; step < steps; ++step) {
      const auto& event = events[static_cast<std::size_t>(step * calls + i)];
      check(event.name == first.name && event.detail == first.detail && event.part == first.part,
            "dense half: op {} of step {} is {} {}, of the first step {} {}", i, step, event.name,
            event.detail, first.name, first.detail);
      seconds[static_cast<std::size_t>(step)] = event.seconds;
    }
    const auto middle = seconds.begin() + steps / 2;
    std::nth_element(seconds.begin(), middle, seconds.end());
    const auto add = [&](DenseHalf::Part& part) {
      part.flop += first.work.flop;
      part.seconds += *middle;
    };
    if (first.part == kDenseHalf)
      add(result.dense);
    else if (is_conv1x1(first))
      add(result.conv1x1);
  }
  check(result.dense.flop > 0, "dense half: {} steps have none", steps);
  check(result.conv1x1.flop > 0, "dense half: {} steps have no 1x1 convolution beside it", steps);
  return result;
}

}  // namespace dcl::densecl::report
