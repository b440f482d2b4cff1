#include "distributed/communicator.h"

namespace dcl::distributed {

namespace {

// With one rank every reduction is the identity, and gathering is a copy.
class SingleProcess final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

 protected:
  void do_all_reduce(Tensor& /*x*/, ReduceOp /*op*/) override {}
  void do_broadcast(Tensor& /*x*/, int /*root*/) override {}
  void do_all_gather(const Tensor& x, Tensor& gathered) override { gathered.copy_from(x); }
  void do_barrier() override {}
};

}  // namespace

std::unique_ptr<Communicator> single_process() { return std::make_unique<SingleProcess>(); }

}  // namespace dcl::distributed
