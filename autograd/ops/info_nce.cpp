#include "tensor/ops/info_nce.h"

#include "autograd/ops.h"
#include "tensor/ops/elementwise.h"

namespace dcl::autograd {

InfoNce info_nce(const Variable& query, const Tensor& positive, const Tensor& queue,
                 const tensor::InfoNceParams& params) {
  check(query.defined(), "info_nce: query is undefined");
  const auto out = DCL_ON_DEVICE(query.value().device(),
                                 info_nce(query.value(), positive, queue, params, will_record({query})));
  const Variable loss =
      record("info_nce", out.loss, {query}, [grad_query = out.grad_query](const Tensor& grad, const Needs&) {
        return std::vector<Tensor>{DCL_ON_DEVICE(grad.device(), mul(grad_query, grad))};
      });
  return {loss, out.top1};
}

}  // namespace dcl::autograd
