// Communicator: the collectives through which the processes of one run exchange tensors. Every process (rank)
// calls the same collectives in the same order with tensors of the same shape and type.
//
// The names and their meaning are MPI's (MPI 4.0, chapter 6): MPI_Allreduce, MPI_Bcast, MPI_Allgather,
// MPI_Barrier.
#pragma once

#include <cstdint>
#include <memory>

#include "tensor/tensor.h"

namespace dcl::distributed {

using tensor::Tensor;

enum class ReduceOp : std::uint8_t { sum, mean, max };

/// Arguments are checked here, once for every transport; a transport implements the do_ functions. All of
/// them throw Error, naming the collective, for arguments that do not fit and for a rank that was lost.
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// This process's number, from 0.
  virtual int rank() const = 0;
  /// The number of processes.
  virtual int size() const = 0;

  /// x = op over all ranks' x, element by element, the same bits on every rank. Types float32 and float64,
  /// and int64 for sum and max.
  void all_reduce(Tensor& x, ReduceOp op);
  /// x = rank `root`'s x. Any type.
  void broadcast(Tensor& x, int root);
  /// x [n, …] of every rank, in the order of the ranks: [size()·n, …], in memory of its own. Any type.
  Tensor all_gather(const Tensor& x);
  /// Returns when every rank has come here.
  void barrier();

 protected:
  virtual void do_all_reduce(Tensor& x, ReduceOp op) = 0;
  virtual void do_broadcast(Tensor& x, int root) = 0;
  /// Fills `gathered` [size()·n, …].
  virtual void do_all_gather(const Tensor& x, Tensor& gathered) = 0;
  virtual void do_barrier() = 0;
};

/// Rank 0 of 1: a run in one process.
std::unique_ptr<Communicator> single_process();

}  // namespace dcl::distributed
