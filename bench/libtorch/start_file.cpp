#include "bench/libtorch/start_file.h"

#include <fstream>
#include <stdexcept>
#include <vector>

#include <nlohmann/json.hpp>

namespace dcl::bench {

std::map<std::string, torch::Tensor> read_start_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::uint64_t length = 0;
  in.read(reinterpret_cast<char*>(&length), sizeof length);
  if (!in || length > 100'000'000) throw std::runtime_error(path + ": no safetensors file");
  std::string text(length, '\0');
  in.read(text.data(), static_cast<std::streamsize>(length));
  const auto header = nlohmann::json::parse(text);
  const auto start = static_cast<std::int64_t>(sizeof length + length);
  std::map<std::string, torch::Tensor> all;
  for (const auto& [name, each] : header.items()) {
    if (name == "__metadata__") continue;
    const bool floats = each.at("dtype") == "F32";
    if (!floats && each.at("dtype") != "I64")
      throw std::runtime_error(std::string(path).append(": ").append(name).append(" is of another type"));
    torch::Tensor tensor = torch::empty(each.at("shape").get<std::vector<std::int64_t>>(),
                                        floats ? torch::kFloat : torch::kLong);
    in.seekg(start + each.at("data_offsets").at(0).get<std::int64_t>());
    in.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
    if (!in) throw std::runtime_error(std::string(path).append(": cut off in ").append(name));
    all[name] = tensor;
  }
  return all;
}

}  // namespace dcl::bench
