#include "densecl/checkpoint.h"

#include <array>
#include <charconv>
#include <utility>

#include "densecl/config_fields.h"
#include "densecl/replace_file.h"
#include "densecl/state_file.h"
#include "tensor/check.h"

namespace dcl::densecl {

namespace fs = std::filesystem;
namespace io = tensor::io;

namespace {

constexpr const char* kFormat = "dcl checkpoint 1";
constexpr std::string_view kMomentum = "momentum_buffer.";
constexpr std::string_view kConfig = "config.";

// The numbers of a RunState under their names in __metadata__.
template <class State>
auto counters(State& state) {
  return std::array{std::pair("epoch", &state.position.epoch),
                    std::pair("iteration", &state.position.iteration),
                    std::pair("step", &state.position.step),
                    std::pair("updates", &state.updates),
                    std::pair("skipped_in_a_row", &state.skipped_in_a_row),
                    std::pair("replaced", &state.replaced),
                    std::pair("pictures", &state.pictures)};
}

bool recorded(const ConfigField& field) { return field.role == Role::identity || field.role == Role::recipe; }

io::Metadata metadata_of(const TrainConfig& config, const RunState& state) {
  io::Metadata metadata{{"format", kFormat}};
  for (const auto& [name, value] : counters(state)) metadata[name] = fmt::format("{}", *value);
  for (const auto& field : config_fields())
    if (recorded(field)) metadata[std::string(kConfig) + std::string(field.name)] = field_text(config, field);
  return metadata;
}

std::int64_t counter(const io::Safetensors& file, const std::string& name) {
  const auto found = file.metadata.find(name);
  check(found != file.metadata.end(), "{}: not a checkpoint of a run, {} is missing", file.source, name);
  const std::string& text = found->second;
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= 0,
        "{}: broken checkpoint: {} is '{}', expected a whole number from 0", file.source, name, text);
  return value;
}

std::string shown(const std::string& value) { return value.empty() ? "unset" : value; }

}  // namespace

fs::path save_checkpoint(const fs::path& folder, const TrainConfig& config, const RunState& state,
                         const ContrastiveModel& model, const optim::Sgd& optimizer) {
  std::vector<io::NamedTensor> tensors;
  for (auto& [name, tensor] : model.state()) tensors.push_back({name, to_file_layout(name, tensor)});
  for (auto& [name, tensor] : optimizer.state())
    tensors.push_back({std::string(kMomentum) + name, to_file_layout(name, tensor)});
  const fs::path path = folder / checkpoint_name(state.position);
  replace_file(path, [&](int descriptor, const std::string& shown_path) {
    io::write_safetensors(descriptor, shown_path, tensors, metadata_of(config, state));
  });
  link_latest(path);
  prune_checkpoints(path, config.keep);
  return path;
}

Checkpoint read_checkpoint(const fs::path& path) {
  Checkpoint checkpoint{path, {}, io::read_safetensors(path.string())};
  const auto format = checkpoint.file.metadata.find("format");
  check(format != checkpoint.file.metadata.end() && format->second == kFormat,
        "{}: not a checkpoint of a run, its format is not '{}'", path.string(), kFormat);
  for (auto& [name, value] : counters(checkpoint.state)) *value = counter(checkpoint.file, name);
  return checkpoint;
}

std::optional<Checkpoint> find_checkpoint(const TrainConfig& config, const Say& say) {
  if (config.resume.empty()) return std::nullopt;
  if (config.resume != "auto") return read_checkpoint(config.resume);
  std::string first_error;
  for (const auto& path : list_checkpoints(config.output_dir)) {
    try {
      Checkpoint checkpoint = read_checkpoint(path);
      if (!first_error.empty())
        say(fmt::format("resume: {}; going on from the older {}", first_error, path.filename().string()));
      return checkpoint;
    } catch (const Error& error) {
      if (first_error.empty()) first_error = error.what();
    }
  }
  check(first_error.empty(), "--resume auto: {}, and no older one is whole", first_error);
  return std::nullopt;
}

void check_same_run(const Checkpoint& checkpoint, const TrainConfig& config, std::int64_t pictures,
                    const Say& say) {
  const auto& metadata = checkpoint.file.metadata;
  const std::string source = checkpoint.path.string();
  for (const auto& field : config_fields()) {
    if (!recorded(field)) continue;
    const std::string now = field_text(config, field);
    const auto found = metadata.find(std::string(kConfig) + std::string(field.name));
    check(found != metadata.end() || field.role == Role::recipe,
          "{}: broken checkpoint: config.{} is missing", source, field.name);
    if (found == metadata.end() || found->second == now) continue;
    check(field.role == Role::recipe, "--resume {}: --{} is {}, the checkpoint has {}", source, field.name,
          shown(now), shown(found->second));
    say(fmt::format("resume: --{} is {}, before it was {}", field.name, shown(now), shown(found->second)));
  }
  check(checkpoint.state.pictures == pictures,
        "--resume {}: {} holds {} pictures, the checkpoint's set had {}", source, config.data, pictures,
        checkpoint.state.pictures);
  const auto& [epoch, iteration, step] = checkpoint.state.position;
  const std::int64_t iterations = pictures / config.batch_size;
  check(iteration < iterations && iteration <= step && (step - iteration) % iterations == 0 &&
            (step - iteration) / iterations == epoch && checkpoint.state.updates <= step,
        "{}: broken checkpoint: epoch {}, iteration {}, step {} do not go together", source, epoch, iteration,
        step);
}

void load_checkpoint(const Checkpoint& checkpoint, ContrastiveModel& model, optim::Sgd& optimizer) {
  const std::string source = checkpoint.path.string();
  std::vector<NamedTensor> weights;
  optim::Sgd::State momentum;
  for (const auto& [name, tensor] : checkpoint.file.tensors) {
    if (name.starts_with(kMomentum)) {
      const std::string parameter = name.substr(kMomentum.size());
      momentum.emplace_back(parameter, from_file_layout(parameter, tensor));
    } else {
      weights.push_back({name, tensor});
    }
  }
  check(momentum.empty() || momentum.size() == model.parameters().size(),
        "{}: broken checkpoint: {} momentum buffers, expected {}", source, momentum.size(),
        model.parameters().size());
  for (const char* name : {"queue_ptr", "queue2_ptr"})
    if (const tensor::Tensor* ptr = checkpoint.file.find(name); ptr != nullptr && ptr->numel() == 1)
      check(ptr->item() >= 0 && ptr->item() < static_cast<double>(model.options().queue),
            "{}: broken checkpoint: {} is {}, expected 0 to {}", source, name, ptr->item(),
            model.options().queue - 1);
  try {
    load_file_state(model, weights);
    optimizer.load_state(momentum);
  } catch (const Error& error) {
    fail("{}: broken checkpoint: {}", source, error.what());
  }
}

}  // namespace dcl::densecl
