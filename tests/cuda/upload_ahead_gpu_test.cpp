// What an emulated device cannot show of UploadAhead: that copies travel beside the device's work, and wait
// for those who read what they overwrite.
#include <vector>

#include "tensor/cuda/context.h"
#include "tensor/cuda/upload_ahead.h"
#include "tensor/ops/concat.h"
#include "tensor/ops/matmul.h"
#include "tests/cuda/gpu_test.h"
#include "tests/ops/op_table.h"

namespace dcl::tensor::cuda {
namespace {

class UploadAheadOnGpu : public dcl::test::GpuTest {
 protected:
  // Tenths of a second, so that what does not wait for it is there before it is over.
  void work_long() const {
    Tensor x = dcl::test::random_tensor({4096, 4096}, 1).to(DType::float32).to(dcl::test::kGpu);
    for (int i = 0; i < 50; ++i) x = matmul(x, x, {});
  }
};

// More than the ring of page-locked buffers holds.
constexpr std::int64_t kNumbers = 20 << 20;

TEST_F(UploadAheadOnGpu, CopiesDoNotWaitForWhatTheDeviceDoes) {
  const auto ahead = make_upload_ahead(dcl::test::kGpu);
  const Tensor host = Tensor::full({kNumbers}, 3);
  ahead->upload({host, {}});  // sets of tensors are made
  ahead->upload({host, {}});
  synchronize();
  work_long();
  const auto there = ahead->upload({host, {}});
  EXPECT_EQ(cudaStreamQuery(current_stream()), cudaErrorNotReady);
  dcl::test::expect_same_bits(there[0].to(Device{}), host);
}

TEST_F(UploadAheadOnGpu, CopiesWaitForTheReadersOfWhatTheyOverwrite) {
  const auto ahead = make_upload_ahead(dcl::test::kGpu);
  std::vector<Tensor> read;
  for (int i = 0; i < 6; ++i) {
    const auto there = ahead->upload({Tensor::full({kNumbers}, i)});
    work_long();
    read.push_back(concat({there[0], there[0]}));
  }
  for (int i = 0; i < 6; ++i)
    dcl::test::expect_same_bits(read[static_cast<std::size_t>(i)].to(Device{}),
                                Tensor::full({2 * kNumbers}, i));
}

}  // namespace
}  // namespace dcl::tensor::cuda
