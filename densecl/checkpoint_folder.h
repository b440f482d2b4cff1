// The checkpoints of an output folder: their names, how one takes its place, which one is the newest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dcl::densecl {

/// A place in the run: what is done so far. An epoch that is done to the end counts in `epoch`.
struct Position {
  std::int64_t epoch = 0;      // epochs done
  std::int64_t iteration = 0;  // iterations done of the next epoch
  std::int64_t step = 0;       // iterations done over all
  bool operator==(const Position&) const = default;
};

/// "epoch_N.safetensors" after N epochs, "epoch_N_iter_I.safetensors" after I iterations of epoch N (from 1).
std::string checkpoint_name(const Position& position);
inline constexpr const char* kLatest = "latest.safetensors";

/// The folder's checkpoints, newest first. Where latest.safetensors points to one, those beyond it (left over
/// from a run that was taken up again at an earlier place) are not listed.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);
/// True when there is any, or a latest.safetensors.
bool holds_checkpoints(const std::filesystem::path& folder);
/// Removes all checkpoints and what an interrupted save has left.
void remove_checkpoints(const std::filesystem::path& folder);
void remove_interrupted_saves(const std::filesystem::path& folder);

/// Points latest.safetensors to `newest` (a file of the folder), in one step.
void link_latest(const std::filesystem::path& newest);
/// Removes the oldest of the checkpoints up to `newest`, so that `keep` remain.
void prune_checkpoints(const std::filesystem::path& newest, std::int64_t keep);

}  // namespace dcl::densecl
