// Where both sides of the race begin: weights, statistics, queues and pictures, as `bench_step --start FILE`
// writes them (safetensors).
#pragma once

#include <map>
#include <string>

#include <torch/torch.h>

namespace dcl::bench {

/// All tensors of the file, float32 and int64. Throws std::runtime_error where it cannot be read.
std::map<std::string, torch::Tensor> read_start_file(const std::string& path);

}  // namespace dcl::bench
