#include "tensor/cuda/blas.h"

#include <algorithm>
#include <array>
#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>

#include <cublasLt.h>

#include "tensor/cuda/blas_params.h"
#include "tensor/cuda/context.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;  // what the library asks for on Hopper

void check_blas(const char* op, cublasStatus_t status) {
  check(status == CUBLAS_STATUS_SUCCESS, "{}: {}: {}", op, cublasLtGetStatusName(status),
        cublasLtGetStatusString(status));
}

template <class Handle, cublasStatus_t (*destroy)(Handle)>
struct Destroy {
  void operator()(Handle handle) const { destroy(handle); }
};
template <class Handle, cublasStatus_t (*destroy)(Handle)>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<Handle, destroy>>;
using Library = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t data_type(DType type) {
  if (type == DType::float64) return CUDA_R_64F;
  return type == DType::bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
}

// The largest power of two, 256 at most, that divides the address.
std::uint32_t alignment(const void* address) {
  std::uint32_t bytes = 256;
  while (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) bytes /= 2;
  return bytes;
}

// All that the choice of an algorithm depends on.
struct Key {
  std::int64_t m, n, k;
  std::int64_t lda, ldb, ldc;
  std::int64_t batch, stride_a, stride_b, stride_c;
  bool transpose_a, transpose_b;
  DType input, output;
  bool accumulates, has_bias;
  std::uint32_t align_a, align_b, align_c, align_bias;

  auto operator<=>(const Key&) const = default;
};

// A row-major matrix is its transpose to the library, which has columns: it is asked for Cᵀ = op(B)ᵀ op(A)ᵀ,
// with B as its first operand.
struct Plan {
  Description description;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm;
};

template <class T>
void describe(const char* op, const Description& description, cublasLtMatmulDescAttributes_t what, T value) {
  check_blas(op, cublasLtMatmulDescSetAttribute(description.get(), what, &value, sizeof(value)));
}

Description make_description(const char* op, const Key& key, const void* bias) {
  const bool wide = key.input == DType::float64;
  cublasLtMatmulDesc_t made = nullptr;
  // CUBLAS_COMPUTE_32F multiplies float32 as float32; TF32 has a name of its own.
  check_blas(op, cublasLtMatmulDescCreate(&made, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                          wide ? CUDA_R_64F : CUDA_R_32F));
  Description description(made);
  const auto operation = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  describe(op, description, CUBLASLT_MATMUL_DESC_TRANSA, operation(key.transpose_b));
  describe(op, description, CUBLASLT_MATMUL_DESC_TRANSB, operation(key.transpose_a));
  if (key.has_bias) {
    describe(op, description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    describe(op, description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  return description;
}

// A row-major matrix [rows,columns] of a batch.
Layout make_layout(const char* op, DType type, std::array<std::int64_t, 2> shape, std::int64_t ld,
                   std::int64_t batch, std::int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  check_blas(op, cublasLtMatrixLayoutCreate(&made, data_type(type), static_cast<std::uint64_t>(shape[1]),
                                            static_cast<std::uint64_t>(shape[0]), ld));
  Layout layout(made);
  const auto count = static_cast<std::int32_t>(batch);
  check_blas(
      op, cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)));
  check_blas(op, cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                                  sizeof(stride)));
  return layout;
}

Preference make_preference(const char* op, const Key& key) {
  cublasLtMatmulPreference_t made = nullptr;
  check_blas(op, cublasLtMatmulPreferenceCreate(&made));
  Preference preference(made);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
    check_blas(op, cublasLtMatmulPreferenceSetAttribute(made, what, &value, sizeof(value)));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.align_c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.align_c);
  // Parts of a sum over k are added in float32, not in the type of C.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  return preference;
}

// The library, its workspace and its plans on one device.
class Blas {
 public:
  explicit Blas(int device)
      : workspace_(Tensor::empty({static_cast<std::int64_t>(kWorkspaceBytes)},
                                 {DType::uint8, {DeviceType::cuda, device}})) {
    cublasLtHandle_t made = nullptr;
    check_blas("cuBLASLt", cublasLtCreate(&made));
    library_.reset(made);
  }

  void multiply(const char* op, const GemmParams& p, const void* a, const void* b, void* c,
                const void* bias) {
    const std::scoped_lock lock(mutex_);
    const Plan& plan = plan_for(op, p, a, b, c, bias);
    if (bias != nullptr) describe(op, plan.description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    const std::array<float, 2> narrow{static_cast<float>(p.alpha), static_cast<float>(p.beta)};
    const bool wide = p.input == DType::float64;
    const void* alpha = wide ? static_cast<const void*>(&p.alpha) : &narrow[0];
    const void* beta = wide ? static_cast<const void*>(&p.beta) : &narrow[1];
    check_blas(op, cublasLtMatmul(library_.get(), plan.description.get(), alpha, b, plan.b.get(), a,
                                  plan.a.get(), beta, c, plan.c.get(), c, plan.c.get(), &plan.algorithm,
                                  workspace_.raw(), kWorkspaceBytes, current_stream()));
  }

 private:
  const Plan& plan_for(const char* op, const GemmParams& p, const void* a, const void* b, const void* c,
                       const void* bias) {
    const Key key{p.m,          p.n,          p.k,           p.lda,
                  p.ldb,        p.ldc,        p.batch,       p.stride_a,
                  p.stride_b,   p.stride_c,   p.transpose_a, p.transpose_b,
                  p.input,      p.output,     p.beta != 0,   bias != nullptr,
                  alignment(a), alignment(b), alignment(c),  alignment(bias)};
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    return plans_.emplace(key, make_plan(op, key, bias)).first->second;
  }

  Plan make_plan(const char* op, const Key& key, const void* bias) const {
    using Sizes = std::array<std::int64_t, 2>;
    Plan plan{make_description(op, key, bias),
              make_layout(op, key.input, key.transpose_a ? Sizes{key.k, key.m} : Sizes{key.m, key.k}, key.lda,
                          key.batch, key.stride_a),
              make_layout(op, key.input, key.transpose_b ? Sizes{key.n, key.k} : Sizes{key.k, key.n}, key.ldb,
                          key.batch, key.stride_b),
              make_layout(op, key.output, {key.m, key.n}, key.ldc, key.batch, key.stride_c),
              {}};
    const Preference preference = make_preference(op, key);
    cublasLtMatmulHeuristicResult_t result{};
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(library_.get(), plan.description.get(), plan.b.get(), plan.a.get(),
                                       plan.c.get(), plan.c.get(), preference.get(), 1, &result, &count);
    check(status == CUBLAS_STATUS_SUCCESS && count == 1,
          "{}: cuBLASLt has no product of {} [{},{}] and [{},{}] to {}, {} times: {}", op, name_of(key.input),
          key.m, key.k, key.k, key.n, name_of(key.output), key.batch, cublasLtGetStatusName(status));
    plan.algorithm = result.algo;
    return plan;
  }

  std::mutex mutex_;
  Library library_;
  Tensor workspace_;
  std::map<Key, Plan> plans_;
};

// Kept to the end of the process and beyond: when statics are destroyed, the driver may be gone.
Blas& blas_of(int device) {
  static std::mutex mutex;
  static auto& all = *new std::map<int, std::unique_ptr<Blas>>;
  const std::scoped_lock lock(mutex);
  auto& blas = all[device];
  if (!blas) blas = std::make_unique<Blas>(device);
  return *blas;
}

}  // namespace

void gemm(const char* op, const GemmParams& params, const void* a, const void* b, void* c, const void* bias) {
  GemmParams p = checked(op, params);
  if (p.m == 0 || p.n == 0 || p.batch == 0) return;
  const int device = current_device();
  if (p.k > 0) return blas_of(device).multiply(op, p, a, b, c, bias);
  // The library wants one product at least: of zeros.
  const Tensor zeros = Tensor::zeros({std::max(p.m, p.n)}, {p.input, {DeviceType::cuda, device}});
  p.k = 1;
  p.lda = p.transpose_a ? p.m : 1;
  p.ldb = p.transpose_b ? 1 : p.n;
  p.stride_a = p.stride_b = 0;
  blas_of(device).multiply(op, p, zeros.raw(), zeros.raw(), c, bias);
}

}  // namespace dcl::tensor::cuda
