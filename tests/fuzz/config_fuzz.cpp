// --config files. What holds: a configuration that can run, written as a run saves it, reads back as the same
// configuration.
#include "apps/support/config_file.h"
#include "densecl/config.h"
#include "tensor/check.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

using densecl::TrainConfig;

std::vector<Bytes> seeds() {
  // Text that must be escaped stands here by hand: what to_toml() writes is what is to be tested.
  TrainConfig config;
  config.data = "pictures";
  config.num_grid = 7;
  config.max_iters = 100;
  return {bytes_of(densecl::to_toml(config)),
          bytes_of("data = 'x'\ncos = true\nlr = 3e-2\n"),
          bytes_of("data = \"\\\"\\u00e9\\\"\\\\\"\n"),
          bytes_of("data = \"\\t\\u0001\\u007f\"\n"),
          bytes_of("data = \"\"\"x\"\"\"\nschedule = []\nlr = 1\nseed = 0x10\n"),
          bytes_of("[data]\nlr = inf\n"),
          bytes_of("data = 'x'\nlr = nan\nepochs = 9223372036854775807\nbatch_sise = 3\n")};
}

void run(View input) {
  TrainConfig config;
  densecl::apply(config, apps::parse_config(text_of(input), "x.toml"));
  densecl::check_config(config);
  config.resume.clear();
  config.overwrite = false;
  TrainConfig again;
  try {
    densecl::apply(again, apps::parse_config(densecl::to_toml(config), "saved.toml"));
    densecl::check_config(again);
  } catch (const Error& error) {
    hold(false, error.what());
  }
  hold(again == config, "a saved configuration reads back as itself");
}

}  // namespace dcl::fuzz
