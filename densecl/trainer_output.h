// The output folder of a run.
#pragma once

#include "densecl/config.h"

namespace dcl::densecl {

/// Throws where config.output_dir is no folder, or holds checkpoints and neither resume nor overwrite was
/// asked for, or resume names a checkpoint of another folder
/// while this one holds a run. Writes nothing.
void check_output_folder(const TrainConfig& config);

/// Makes the folder where it is missing, writes config.toml, and removes what interrupted saves have left
/// and, with `overwrite`, the old checkpoints. A checkpoint of the folder that resume names becomes the
/// latest. Throws one line where it cannot be written.
void prepare_output_folder(const TrainConfig& config);

}  // namespace dcl::densecl
