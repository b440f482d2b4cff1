#include "data/view_steps.h"

#include <type_traits>

#include "data/color.h"

namespace dcl::data {

// They travel as bytes.
static_assert(std::is_trivially_copyable_v<ViewSteps>);

ViewSteps view_steps(const ViewParams& params) {
  ViewSteps steps;
  if (params.jitter)
    for (const Jitter& jitter : *params.jitter) {
      ColorStep& step = steps.jitter[steps.jitters++];
      step.kind = jitter.kind;
      if (jitter.kind == JitterKind::hue)
        step.turn = hue_turn(jitter.factor);
      else
        step.factor = static_cast<float>(jitter.factor);
    }
  steps.grayscale = params.grayscale;
  if (params.blur_sigma) steps.blur = blur_box(*params.blur_sigma);
  if (params.solarize_threshold) steps.solarize_threshold = *params.solarize_threshold;
  steps.flip = params.flip;
  return steps;
}

}  // namespace dcl::data
