#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/check.h"

namespace dcl::optim {

double cosine_lr(double base_lr, std::int64_t epoch, std::int64_t epochs) {
  if (epoch >= epochs) return 0;
  const double part = static_cast<double>(epoch) / static_cast<double>(epochs);
  return base_lr * 0.5 * (1 + std::cos(std::numbers::pi * part));
}

double step_lr(double base_lr, std::int64_t epoch, const std::vector<std::int64_t>& milestones,
               double gamma) {
  double lr = base_lr;
  for (const auto milestone : milestones)
    if (epoch >= milestone) lr *= gamma;
  return lr;
}

double warmup_factor(std::int64_t t, std::int64_t warmup_iterations) {
  if (t >= warmup_iterations) return 1;
  return static_cast<double>(t + 1) / static_cast<double>(warmup_iterations);
}

void check_schedule(const Schedule& s) {
  check(std::isfinite(s.base_lr) && s.base_lr >= 0,
        "schedule: the learning rate is {}, expected a finite number, at least 0", s.base_lr);
  check(std::isfinite(s.gamma) && s.gamma >= 0, "schedule: gamma is {}, expected a finite number, at least 0",
        s.gamma);
  check(s.kind != Schedule::Kind::cosine || s.epochs >= 1,
        "schedule: cosine over {} epochs, expected 1 or more", s.epochs);
  check(s.warmup_epochs >= 0, "schedule: warm-up over {} epochs, expected 0 or more", s.warmup_epochs);
  for (const auto milestone : s.milestones)
    check(milestone >= 0, "schedule: milestone {} is not an epoch", milestone);
}

double learning_rate(const Schedule& s, std::int64_t epoch, std::int64_t iteration,
                     std::int64_t iterations_per_epoch) {
  check_schedule(s);
  check(epoch >= 0 && iteration >= 0 && iteration < iterations_per_epoch,
        "schedule: epoch {}, iteration {} of {} is not a place in a run", epoch, iteration,
        iterations_per_epoch);
  const double factor =
      warmup_factor(epoch * iterations_per_epoch + iteration, s.warmup_epochs * iterations_per_epoch);
  switch (s.kind) {
    case Schedule::Kind::constant:
      return s.base_lr * factor;
    case Schedule::Kind::cosine:
      return cosine_lr(s.base_lr, epoch, s.epochs) * factor;
    case Schedule::Kind::step:
      return step_lr(s.base_lr, epoch, s.milestones, s.gamma) * factor;
  }
  fail("schedule: unknown kind {}", static_cast<int>(s.kind));
}

}  // namespace dcl::optim
