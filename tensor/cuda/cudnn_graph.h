// A thin wrapper over cuDNN's graph API (cudnn_backend.h): a graph of operations on pictures, and the plan
// that runs it. Nothing of cuDNN's headers shows here; every call is checked, and Error names the op, cuDNN's
// status and its own words.
//
//   CudnnGraph graph("conv2d");
//   const auto x = graph.picture(DType::bfloat16, {256, 56, 56, 64});
//   const auto weight = graph.picture(DType::bfloat16, {64, 3, 3, 64});
//   const auto y = graph.picture(DType::bfloat16, {256, 56, 56, 64});
//   graph.convolution(ConvolutionPass::forward, {.padding = 1}, {.x = x, .weight = weight, .y = y});
//   if (auto plan = graph.plan(cudnn_device(), {}))
//     plan->execute("conv2d", {{x, …}, {weight, …}, {y, …}}, workspace);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensor/dtype.h"

namespace dcl::tensor::cuda {

/// Owns one of cuDNN's backend descriptors.
class CudnnDescriptor {
 public:
  /// `type` is a cudnnBackendDescriptorType_t.
  CudnnDescriptor(const std::string& op, int type);
  void* get() const { return descriptor_.get(); }

 private:
  struct Destroy {
    void operator()(void* descriptor) const;
  };
  std::unique_ptr<void, Destroy> descriptor_;
};

/// The device that a plan is made for: a GPU of this machine, or one that is only described.
class CudnnDevice {
 public:
  /// A GPU of this machine, by its cudnnHandle_t.
  explicit CudnnDevice(std::shared_ptr<void> handle) : handle_(std::move(handle)) {}
  /// The GPU that `json` describes, in cuDNN's own form: plans can be made for it, not run.
  static CudnnDevice described(const std::string& json);

  void* handle() const { return handle_.get(); }
  void* properties() const { return properties_ ? properties_->get() : nullptr; }

 private:
  std::shared_ptr<void> handle_;
  std::shared_ptr<const CudnnDescriptor> properties_;
};

/// The current device, its handle bound to current_stream(). A handle belongs to the calling thread.
CudnnDevice cudnn_device();
/// As cuDNN numbers itself: 91900 is 9.19.0.
std::int64_t cudnn_version();

/// Which engines a plan may use. None that gives other bits in another run, sums in less than float32 or
/// transforms its operands (Winograd, FFT) ever is.
struct PlanRules {
  /// False for float32: tensor cores would round its operands to TF32.
  bool tensor_cores = true;
};

/// Where the tensor `id` of a graph lies; aligned to 16 bytes. Outputs are written.
struct CudnnBinding {
  std::int64_t id;
  void* data;
};

/// A finalised execution plan.
class CudnnPlan {
 public:
  CudnnPlan(const std::string& op, CudnnDevice device, CudnnDescriptor plan);
  /// The plan that json() gave. Nothing when this cuDNN or this GPU does not take it.
  static std::optional<CudnnPlan> from_json(const std::string& op, const CudnnDevice& device,
                                            const std::string& json);
  /// cuDNN's own text of the plan; nothing when its engine has none.
  std::optional<std::string> json() const;
  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  /// On current_stream(); `workspace` holds workspace_bytes().
  void execute(const std::string& op, const std::vector<CudnnBinding>& tensors, void* workspace) const;

 private:
  CudnnDevice device_;  // outlives the plan, whichever thread made it
  CudnnDescriptor plan_;
  std::int64_t workspace_bytes_ = 0;
};

/// Sizes of a tensor in memory order; a weight [O,kH,kW,I/groups] is {O, kH, kW, I/groups}.
struct CudnnSizes {
  std::int64_t n, h, w, c;
};

enum class ConvolutionPass : std::uint8_t { forward, backward_input, backward_weight };

/// The tensors of a convolution or their gradients; each pass computes one from the other two.
struct ConvolutionTensors {
  std::int64_t x, weight, y;
};

struct ConvolutionWindow {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
};

class CudnnGraph {
 public:
  /// `op` names the graph in errors.
  explicit CudnnGraph(std::string op) : op_(std::move(op)) {}

  /// Adds a tensor of float32 or bfloat16 and returns its id; ids count up from 1.
  std::int64_t picture(DType type, const CudnnSizes& sizes) { return add_tensor(type, sizes, false); }
  /// The same for one that never reaches memory.
  std::int64_t intermediate(DType type, const CudnnSizes& sizes) { return add_tensor(type, sizes, true); }

  /// Sums are float32. The groups follow from the channels of x and of the weight.
  void convolution(ConvolutionPass pass, const ConvolutionWindow& window, const ConvolutionTensors& tensors);
  /// sum = a + b in float32, b broadcast to a.
  void add(std::int64_t a, std::int64_t b, std::int64_t sum);

  /// The first plan of cuDNN's heuristics, then of its fallbacks, that follows the rules and whose workspace
  /// is moderate; nothing when there is none.
  std::optional<CudnnPlan> plan(const CudnnDevice& device, const PlanRules& rules) const;

 private:
  std::int64_t add_tensor(DType type, const CudnnSizes& sizes, bool is_virtual);
  void* tensor(std::int64_t id) const { return tensors_[static_cast<std::size_t>(id - 1)].get(); }

  std::string op_;
  std::vector<CudnnDescriptor> tensors_;
  std::vector<CudnnDescriptor> details_;  // what operations refer to
  std::vector<CudnnDescriptor> operations_;
};

}  // namespace dcl::tensor::cuda
