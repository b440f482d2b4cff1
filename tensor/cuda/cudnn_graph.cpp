#include "tensor/cuda/cudnn_graph.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>

#include <cudnn_backend.h>

#include "tensor/check.h"
#include "tensor/cuda/context.h"

namespace dcl::tensor::cuda {

namespace {

// Plans that want more memory than this beside the tensors are taken only when no other is left.
constexpr std::int64_t kModerateWorkspace = std::int64_t{1} << 30;

std::string last_error() {
  std::array<char, 1024> text{};
  cudnnGetLastErrorString(text.data(), text.size());
  std::string line(text.data());
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

[[noreturn]] void fail_cudnn(const std::string& op, const char* call, cudnnStatus_t status) {
  fail("{}: cuDNN: {}: {}: {}", op, call, cudnnGetErrorString(status), last_error());
}

void check_cudnn(const std::string& op, const char* call, cudnnStatus_t status) {
  if (status != CUDNN_STATUS_SUCCESS) [[unlikely]]
    fail_cudnn(op, call, status);
}

// Graphs and engines that this cuDNN lacks are an answer, everything else is an error.
bool is_refusal(cudnnStatus_t status) { return CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED; }

constexpr auto attribute_type(const std::int64_t&) { return CUDNN_TYPE_INT64; }
constexpr auto attribute_type(const float&) { return CUDNN_TYPE_FLOAT; }
constexpr auto attribute_type(const bool&) { return CUDNN_TYPE_BOOLEAN; }
constexpr auto attribute_type(const char&) { return CUDNN_TYPE_CHAR; }
constexpr auto attribute_type(void* const&) { return CUDNN_TYPE_BACKEND_DESCRIPTOR; }
constexpr auto attribute_type(const cudnnDataType_t&) { return CUDNN_TYPE_DATA_TYPE; }
constexpr auto attribute_type(const cudnnConvolutionMode_t&) { return CUDNN_TYPE_CONVOLUTION_MODE; }
constexpr auto attribute_type(const cudnnPointwiseMode_t&) { return CUDNN_TYPE_POINTWISE_MODE; }
constexpr auto attribute_type(const cudnnBackendHeurMode_t&) { return CUDNN_TYPE_HEUR_MODE; }

// A descriptor on its way to being finalised.
class Builder {
 public:
  Builder(std::string op, cudnnBackendDescriptorType_t type)
      : op_(std::move(op)), descriptor_(op_, static_cast<int>(type)) {}

  template <class T>
  Builder& set(cudnnBackendAttributeName_t name, const T& value) {
    return set_as(name, attribute_type(value), &value, 1);
  }
  template <class T>
  Builder& set_all(cudnnBackendAttributeName_t name, std::span<const T> values) {
    return set_as(name, attribute_type(*values.data()), values.data(), std::ssize(values));
  }
  Builder& set_handle(cudnnBackendAttributeName_t name, void* handle) {
    return set_as(name, CUDNN_TYPE_HANDLE, &handle, 1);
  }
  /// Workspaces and the tensors' memory.
  Builder& set_pointers(cudnnBackendAttributeName_t name, std::span<void* const> pointers) {
    return set_as(name, CUDNN_TYPE_VOID_PTR, pointers.data(), std::ssize(pointers));
  }

  /// False when cuDNN does not take this text.
  bool takes_text(cudnnBackendAttributeName_t name, const std::string& text) {
    return cudnnBackendSetAttribute(descriptor_.get(), name, CUDNN_TYPE_CHAR, std::ssize(text),
                                    text.data()) == CUDNN_STATUS_SUCCESS;
  }

  CudnnDescriptor finalised() && {
    check_cudnn(op_, "cudnnBackendFinalize", cudnnBackendFinalize(descriptor_.get()));
    return std::move(descriptor_);
  }
  std::optional<CudnnDescriptor> finalised_unless(bool (*is_answer)(cudnnStatus_t)) && {
    const cudnnStatus_t status = cudnnBackendFinalize(descriptor_.get());
    if (status == CUDNN_STATUS_SUCCESS) return std::move(descriptor_);
    if (!is_answer(status)) fail_cudnn(op_, "cudnnBackendFinalize", status);
    return {};
  }

 private:
  Builder& set_as(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const void* values,
                  std::int64_t count) {
    check_cudnn(op_, "cudnnBackendSetAttribute",
                cudnnBackendSetAttribute(descriptor_.get(), name, type, count, values));
    return *this;
  }

  std::string op_;
  CudnnDescriptor descriptor_;
};

// How many values there are; at most values.size() of them are fetched.
template <class T>
std::int64_t get_as(const std::string& op, void* descriptor, cudnnBackendAttributeName_t name,
                    cudnnBackendAttributeType_t type, std::span<T> values) {
  std::int64_t count = 0;
  check_cudnn(op, "cudnnBackendGetAttribute",
              cudnnBackendGetAttribute(descriptor, name, type, static_cast<std::int64_t>(values.size()),
                                       &count, values.empty() ? nullptr : values.data()));
  return count;
}

cudnnDataType_t data_type(const std::string& op, DType type) {
  switch (type) {
    case DType::float32:
      return CUDNN_DATA_FLOAT;
    case DType::bfloat16:
      return CUDNN_DATA_BFLOAT16;
    default:
      fail("{}: cuDNN: no graphs of {}", op, name_of(type));
  }
}

// What cuDNN calls the parts of a convolution in each pass.
struct ConvolutionAttributes {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t description, x, weight, y, alpha, beta;
};
constexpr std::array<ConvolutionAttributes, 3> kConvolutionAttributes{{
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
}};

std::shared_ptr<void> make_handle() {
  cudnnHandle_t handle = nullptr;
  check_cudnn("cudnn_device", "cudnnCreate", cudnnCreate(&handle));
  // Never destroyed, one a thread and device: cuDNN's own libraries may go first.
  return {handle, [](void*) {}};
}

bool breaks(cudnnBackendNumericalNote_t note, const PlanRules& rules) {
  switch (note) {
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      return !rules.tensor_cores;
    case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
      return false;
    default:  // down-converted inputs, shorter sums, FFT, Winograd, other bits in each run
      return true;
  }
}

// The engine of a configuration keeps to the rules.
bool follows(const std::string& op, void* config, const PlanRules& rules) {
  const CudnnDescriptor engine(op, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  void* raw = engine.get();
  get_as<void*>(op, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, {&raw, 1});
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const std::int64_t count = get_as<cudnnBackendNumericalNote_t>(
      op, engine.get(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, notes);
  return std::none_of(notes.begin(), notes.begin() + std::min<std::int64_t>(count, std::ssize(notes)),
                      [&](auto note) { return breaks(note, rules); });
}

// The heuristics' engine configurations for a finalised graph, best first.
std::vector<CudnnDescriptor> configurations(const std::string& op, void* graph, const CudnnDevice& device,
                                            cudnnBackendHeurMode_t mode) {
  Builder builder(op, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  builder.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  if (void* properties = device.properties()) builder.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties);
  const auto heuristics = std::move(builder).finalised_unless(&is_refusal);
  std::vector<CudnnDescriptor> configs;
  if (!heuristics) return configs;
  const std::int64_t count =
      get_as<void*>(op, heuristics->get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, {});
  std::vector<void*> raw;
  for (std::int64_t i = 0; i < count; ++i) {
    configs.emplace_back(op, static_cast<int>(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    raw.push_back(configs.back().get());
  }
  const std::int64_t found =
      get_as<void*>(op, heuristics->get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, raw);
  while (std::ssize(configs) > found) configs.pop_back();
  return configs;
}

Builder plan_builder(const std::string& op, const CudnnDevice& device) {
  Builder builder(op, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (void* properties = device.properties())
    builder.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties);
  else
    builder.set_handle(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, device.handle());
  return builder;
}

std::optional<CudnnPlan> plan_of(const std::string& op, const CudnnDescriptor& config,
                                 const CudnnDevice& device) {
  Builder builder = plan_builder(op, device);
  builder.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config.get());
  // Engines that are compiled at run time can fail for reasons of their own; the next one is asked then.
  auto plan = std::move(builder).finalised_unless([](cudnnStatus_t status) {
    return is_refusal(status) || CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_INTERNAL_ERROR ||
           CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_EXECUTION_FAILED;
  });
  if (!plan) return {};
  return CudnnPlan(op, device, std::move(*plan));
}

}  // namespace

CudnnDescriptor::CudnnDescriptor(const std::string& op, int type) {
  void* descriptor = nullptr;
  check_cudnn(op, "cudnnBackendCreateDescriptor",
              cudnnBackendCreateDescriptor(static_cast<cudnnBackendDescriptorType_t>(type), &descriptor));
  descriptor_.reset(descriptor);
}

void CudnnDescriptor::Destroy::operator()(void* descriptor) const {
  cudnnBackendDestroyDescriptor(descriptor);
}

CudnnDevice CudnnDevice::described(const std::string& json) {
  CudnnDevice device(nullptr);
  device.properties_ = std::make_shared<const CudnnDescriptor>(
      std::move(Builder("cudnn_device", CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
                    .set_all(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json)))
          .finalised());
  return device;
}

CudnnDevice cudnn_device() {
  thread_local std::map<int, std::shared_ptr<void>> handles;
  std::shared_ptr<void>& handle = handles[current_device()];
  if (!handle) handle = make_handle();
  check_cudnn("cudnn_device", "cudnnSetStream",
              cudnnSetStream(static_cast<cudnnHandle_t>(handle.get()), current_stream()));
  return CudnnDevice(handle);
}

std::int64_t cudnn_version() { return static_cast<std::int64_t>(cudnnGetVersion()); }

CudnnPlan::CudnnPlan(const std::string& op, CudnnDevice device, CudnnDescriptor plan)
    : device_(std::move(device)), plan_(std::move(plan)) {
  get_as<std::int64_t>(op, plan_.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                       {&workspace_bytes_, 1});
}

std::optional<CudnnPlan> CudnnPlan::from_json(const std::string& op, const CudnnDevice& device,
                                              const std::string& json) {
  Builder builder = plan_builder(op, device);
  if (!builder.takes_text(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, json)) return {};
  auto plan = std::move(builder).finalised_unless([](cudnnStatus_t) { return true; });
  if (!plan) return {};
  return CudnnPlan(op, device, std::move(*plan));
}

std::optional<std::string> CudnnPlan::json() const {
  constexpr auto name = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
  std::int64_t size = 0;
  if (cudnnBackendGetAttribute(plan_.get(), name, CUDNN_TYPE_CHAR, 0, &size, nullptr) !=
          CUDNN_STATUS_SUCCESS ||
      size <= 0)
    return {};
  std::string text(static_cast<std::size_t>(size), '\0');
  if (cudnnBackendGetAttribute(plan_.get(), name, CUDNN_TYPE_CHAR, size, &size, text.data()) !=
      CUDNN_STATUS_SUCCESS)
    return {};
  text.resize(static_cast<std::size_t>(size));
  return text;
}

void CudnnPlan::execute(const std::string& op, const std::vector<CudnnBinding>& tensors,
                        void* workspace) const {
  std::vector<std::int64_t> ids;
  std::vector<void*> pointers;
  for (const auto& [id, data] : tensors) {
    ids.push_back(id);
    pointers.push_back(data);
  }
  const CudnnDescriptor pack =
      std::move(Builder(op, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
                    .set_all(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const std::int64_t>(ids))
                    .set_pointers(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
                    .set_pointers(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, {&workspace, 1}))
          .finalised();
  const CudnnDevice device = cudnn_device();
  check_cudnn(op, "cudnnBackendExecute",
              cudnnBackendExecute(static_cast<cudnnHandle_t>(device.handle()), plan_.get(), pack.get()));
}

std::int64_t CudnnGraph::add_tensor(DType type, const CudnnSizes& sizes, bool is_virtual) {
  const auto [n, h, w, c] = sizes;
  const std::array<std::int64_t, 4> dimensions{n, c, h, w};
  const std::array<std::int64_t, 4> strides{h * w * c, 1, w * c, c};
  const std::int64_t id = std::ssize(tensors_) + 1;
  constexpr std::int64_t alignment = 16;
  tensors_.push_back(
      std::move(Builder(op_, CUDNN_BACKEND_TENSOR_DESCRIPTOR)
                    .set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(op_, type))
                    .set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(dimensions))
                    .set_all(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(strides))
                    .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
                    .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment)
                    .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual))
          .finalised());
  return id;
}

void CudnnGraph::convolution(ConvolutionPass pass, const ConvolutionWindow& window,
                             const ConvolutionTensors& tensors) {
  const auto both = [](std::int64_t value) { return std::array{value, value}; };
  const auto [stride, padding, dilation] = window;
  const auto strides = both(stride), paddings = both(padding), dilations = both(dilation);
  using Values = std::span<const std::int64_t>;
  details_.push_back(std::move(Builder(op_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
                                   .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
                                   .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
                                   .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
                                   .set_all(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Values(strides))
                                   .set_all(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Values(paddings))
                                   .set_all(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Values(paddings))
                                   .set_all(CUDNN_ATTR_CONVOLUTION_DILATIONS, Values(dilations)))
                         .finalised());
  const ConvolutionAttributes& names = kConvolutionAttributes[static_cast<std::size_t>(pass)];
  operations_.push_back(std::move(Builder(op_, names.type)
                                      .set(names.description, details_.back().get())
                                      .set(names.x, tensor(tensors.x))
                                      .set(names.weight, tensor(tensors.weight))
                                      .set(names.y, tensor(tensors.y))
                                      .set(names.alpha, 1.0F)
                                      .set(names.beta, 0.0F))
                            .finalised());
}

void CudnnGraph::add(std::int64_t a, std::int64_t b, std::int64_t sum) {
  details_.push_back(std::move(Builder(op_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
                                   .set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD)
                                   .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT))
                         .finalised());
  operations_.push_back(
      std::move(Builder(op_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
                    .set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, details_.back().get())
                    .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, tensor(a))
                    .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, tensor(b))
                    .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, tensor(sum)))
          .finalised());
}

std::optional<CudnnPlan> CudnnGraph::plan(const CudnnDevice& device, const PlanRules& rules) const {
  std::vector<void*> operations;
  for (const auto& operation : operations_) operations.push_back(operation.get());
  Builder builder(op_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  builder.set_all(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<void* const>(operations));
  if (device.properties() == nullptr) builder.set_handle(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, device.handle());
  const auto graph = std::move(builder).finalised_unless(&is_refusal);
  if (!graph) return {};
  std::optional<CudnnPlan> smallest;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
    for (const auto& config : configurations(op_, graph->get(), device, mode)) {
      if (!follows(op_, config.get(), rules)) continue;
      auto plan = plan_of(op_, config, device);
      if (!plan) continue;
      if (plan->workspace_bytes() <= kModerateWorkspace) return plan;
      if (!smallest || plan->workspace_bytes() < smallest->workspace_bytes()) smallest = std::move(plan);
    }
  return smallest;
}

}  // namespace dcl::tensor::cuda
