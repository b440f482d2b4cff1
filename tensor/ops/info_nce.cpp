#include "tensor/ops/info_nce.h"

#include <cmath>

namespace dcl::tensor {

void check_info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue,
                    const InfoNceParams& params) {
  check_dim("info_nce", "query", query, 2);
  check(query.size(0) >= 1 && query.size(1) >= 1, "info_nce: query is {}, expected at least [1,1]",
        query.shape().str());
  check_dtype("info_nce", "positive", positive, query.dtype());
  check_shape("info_nce", "positive", positive, query.shape());
  check_dtype("info_nce", "queue", queue, query.dtype());
  check_dim("info_nce", "queue", queue, 2);
  check_same_device("info_nce", "positive", positive, query);
  check_same_device("info_nce", "queue", queue, query);
  check(queue.size(1) == query.size(1), "info_nce: queue has {} channels, query has {} (queue {}, query {})",
        queue.size(1), query.size(1), queue.shape().str(), query.shape().str());
  check(params.temperature > 0 && std::isfinite(params.temperature),
        "info_nce: temperature is {}, expected a positive number", params.temperature);
  if (params.bfloat16_products) check_dtype("info_nce", "query", query, DType::float32);
}

}  // namespace dcl::tensor
