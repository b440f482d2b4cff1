// A checkpoint: a safetensors file with the complete state of a run, under the authors' tensor names.
//
//   encoder_q.… encoder_k.… queue queue_ptr queue2 queue2_ptr
//       as in the authors' files (densecl/state_file.h)
//   momentum_buffer.encoder_q.…
//       of SGD, one a parameter, in the same layout
//   __metadata__
//       format, epoch, iteration, step, updates, skipped_in_a_row, replaced, pictures, and the settings that
//       tell what was computed ("config.batch-size")
//
// No times, hosts or paths: the same run writes the same bytes. Checksums: tensor/io/safetensors.h.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "densecl/checkpoint_folder.h"
#include "densecl/config.h"
#include "densecl/model.h"
#include "optim/sgd.h"
#include "tensor/io/safetensors.h"

namespace dcl::densecl {

/// What a run has to know besides its tensors. Data order, augmentation and shuffling follow from the seed
/// and the position.
struct RunState {
  Position position;
  std::int64_t updates = 0;  // steps whose keys were enqueued; less than position.step after skipped ones
  std::int64_t skipped_in_a_row = 0;  // last steps that were skipped as not finite
  std::int64_t replaced = 0;          // unreadable pictures that others stood in for, so far
  std::int64_t pictures = 0;          // size of the set
};

/// Writes `folder`/checkpoint_name(state.position) atomically, points latest.safetensors to it, then removes
/// the oldest beyond config.keep. Returns its path. Throws (SystemError with the system's code where it was
/// the system's doing), leaving the folder's other checkpoints as they were.
std::filesystem::path save_checkpoint(const std::filesystem::path& folder, const TrainConfig& config,
                                      const RunState& state, const ContrastiveModel& model,
                                      const optim::Sgd& optimizer);

/// A file that was read and found whole, but not yet compared with a configuration.
struct Checkpoint {
  std::filesystem::path path;
  RunState state;
  tensor::io::Safetensors file;
};

/// Throws one line that names the file, when it cannot be read, is damaged or is no checkpoint of ours.
Checkpoint read_checkpoint(const std::filesystem::path& path);

using Say = std::function<void(std::string line)>;

/// The checkpoint that config.resume asks for. "auto": the newest of the output folder, or nothing when it
/// has none; one that is broken is passed over for an older good one, which is said, and refused where there
/// is none.
std::optional<Checkpoint> find_checkpoint(const TrainConfig& config, const Say& say);

/// Throws, naming both values, where `config` or the set of pictures is not that of the checkpoint; what may
/// differ is said.
void check_same_run(const Checkpoint& checkpoint, const TrainConfig& config, std::int64_t pictures,
                    const Say& say);

/// Fills model and optimizer. Throws, naming the tensor, for what does not fit.
void load_checkpoint(const Checkpoint& checkpoint, ContrastiveModel& model, optim::Sgd& optimizer);

}  // namespace dcl::densecl
