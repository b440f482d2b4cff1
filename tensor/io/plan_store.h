// Which plan a convolution asks for, and the folder where plans outlive the process. The one part of
// the CUDA backend's plan cache (tensor/cuda/plan_cache.h) that knows nothing of CUDA: every build tests it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace dcl::tensor::cuda {

enum class PlanKind : std::uint8_t { conv2d, conv2d_backward_input, conv2d_backward_weight };

/// Everything that a plan depends on beside the library and the GPU; which engines it may use follows from
/// it.
struct PlanKey {
  PlanKind kind = PlanKind::conv2d;
  DType dtype = DType::float32;
  int device = 0;  // of this process; not part of str(), since a plan serves every GPU of its name
  std::array<std::int64_t, 12> sizes{};  // sizes and parameters in an order of the kind's own; 0 where unused

  bool operator==(const PlanKey&) const = default;
  /// "conv2d_backward_input bfloat16 256 56 56 64 …": the key on disk.
  std::string str() const;
};

struct PlanKeyHash {
  std::size_t operator()(const PlanKey& key) const;
};

/// Texts of plans in a folder, one file each, for one version of the library and one GPU. A file that is
/// damaged, was cut off, or is of another key, library or GPU counts as none. Files are written whole or not
/// at all, so that several processes may share the folder.
class PlanStore {
 public:
  /// `folder` empty: nothing is kept. `library` and `gpu` are one line each ("cuDNN 91900", "NVIDIA H200").
  PlanStore(std::filesystem::path folder, const std::string& library, const std::string& gpu);

  std::optional<std::string> load(const PlanKey& key) const;
  /// Makes the folder where it is missing. False, and nothing is lost, when it cannot be written to.
  bool save(const PlanKey& key, const std::string& plan) const;
  std::filesystem::path path_of(const PlanKey& key) const;

 private:
  std::string head_of(const PlanKey& key) const;

  std::filesystem::path folder_;
  std::string origin_;
};

/// $DCL_PLAN_CACHE, else $XDG_CACHE_HOME/dcl, else $HOME/.cache/dcl; empty where none is set, or where
/// DCL_PLAN_CACHE is set to nothing.
std::filesystem::path plan_folder();

}  // namespace dcl::tensor::cuda
