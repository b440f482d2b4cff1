// Learning-rate schedules as pure functions of the place in the run, so that a resumed run needs no state.
// Epochs and iterations count from 0. With lr0 = `base_lr`, E = `epochs`, e = the epoch:
//
//   constant  lr0
//   cosine    lr0 · (1 + cos(π e/E)) / 2            once an epoch, towards 0 (Loshchilov and Hutter, ICLR
//   2017) step      lr0 · gamma^(milestones m with m <= e)
//
// A warm-up of W epochs goes in front, by iteration: while t = e·(iterations an epoch) + iteration is below
// n = W·(iterations an epoch), the schedule's rate is multiplied by (t + 1)/n (Goyal et al. 2017).
#pragma once

#include <cstdint>
#include <vector>

namespace dcl::optim {

/// `lr0 · (1 + cos(π epoch/epochs)) / 2`; 0 from `epochs` on.
double cosine_lr(double base_lr, std::int64_t epoch, std::int64_t epochs);
/// `lr0 · gamma^k`, k the number of milestones that `epoch` has reached. Their order does not matter.
double step_lr(double base_lr, std::int64_t epoch, const std::vector<std::int64_t>& milestones,
               double gamma = 0.1);
/// Factor of a linear warm-up over `warmup_iterations`, in its iteration `t`: (t + 1)/n, then 1.
double warmup_factor(std::int64_t t, std::int64_t warmup_iterations);

struct Schedule {
  enum class Kind : std::uint8_t { constant, cosine, step };

  Kind kind = Kind::constant;
  double base_lr = 0;
  std::int64_t epochs = 0;                    // of the whole run, for cosine
  std::vector<std::int64_t> milestones = {};  // epochs, for step
  double gamma = 0.1;                         // for step
  std::int64_t warmup_epochs = 0;
};

/// Throws, naming the value, when base_lr or gamma is negative or not finite, when cosine has no epochs, when
/// a milestone or warmup_epochs is negative.
void check_schedule(const Schedule& schedule);

/// The learning rate of one iteration. Throws as check_schedule, and when the place is not one: epoch < 0,
/// iteration not in [0, iterations_per_epoch).
double learning_rate(const Schedule& schedule, std::int64_t epoch, std::int64_t iteration,
                     std::int64_t iterations_per_epoch);

}  // namespace dcl::optim
