// Mean and variance of each channel of a matrix whose rows come tile by tile.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/cpu/ranges.h"
#include "tensor/dtype.h"
#include "tensor/ops/channel_moments.h"

namespace dcl::tensor::cpu {

/// Some rows of a tile, one pointer each, and where they go: rows of a result may lie on one set of the
/// first-level cache, so that they are better read before they are there. A part's first tile has a row at
/// least; others may have none.
template <class X>
struct TileRows {
  const X* const* rows;
  std::int64_t count, cols;
  X* const* to = nullptr;  // or nowhere
  bool stream = false;     // past the caches (streaming.h): whole lines
};

/// Where the sums of some columns are: those in T, and those in double.
template <class T>
struct MomentRow {
  T* shift;
  T* sum;
  T* squares;
  double* long_sum;
  double* long_squares;
};

/// What the sums in T begin with: a shift of their own and zeros, zeros, or what is there.
enum class MomentStart : std::uint8_t { shift, zeros, sums };

/// Tile `index` of a part, or all of that index in some columns.
struct MomentPlace {
  std::int64_t part, index;
  std::int64_t channel, cols;
};

/// Some columns that rows are to be added to.
template <class T>
struct MomentColumns {
  MomentStart start;
  MomentRow<T> to;
};

/// Sums over parts of the rows, put together at the end (Chan, Golub, LeVeque 1979). A part's sums are
/// shifted by the median of three rows of its first tile, so that a variance suffers neither from a large
/// mean nor from an outlier; those of up to kTilesInFloat tiles are in T, all others in double. T is
/// Compute<X> of the rows' type.
template <class T>
class MomentSums {
 public:
  explicit MomentSums(std::int64_t channels) : channels_(channels) {}

  /// To be called before anything is added. A second call with the same number keeps what is there: the
  /// groups of a convolution fill their channels one after the other.
  void set_parts(std::int64_t parts);
  std::int64_t parts() const { return static_cast<std::int64_t>(counts_.size()); }
  bool empty() const { return counts_.empty(); }

  /// Adds the rows of tile `index`, counted from 0 in its part, to channels [channel, channel + tile.cols) of
  /// `part`. The tiles of a part come in order and from one thread.
  template <class X>
  void add(std::int64_t part, std::int64_t index, std::int64_t channel, const TileRows<X>& tile);
  /// The same for whoever adds the numbers of `rows` rows by itself, as the kernel of moment_sums_kernels.h
  /// does, of one tile or of some beside each other: counts the rows, and says where the sums are.
  MomentColumns<T> begin_tiles(const MomentPlace& place, std::int64_t rows);
  /// Of the rows of parts [first, last), all of which have some.
  ChannelMoments of(std::int64_t first, std::int64_t last) const;

 private:
  struct Count {
    std::int64_t rows = 0;
    bool has_long_sums = false;
  };
  struct Sums {
    double shift, sum, squares;
  };

  T* short_sums(std::int64_t part) const { return short_ + part * 3 * channels_; }
  double* long_sums(std::int64_t part) const { return long_ + part * 2 * channels_; }
  const Count& count(std::int64_t part) const { return counts_[static_cast<std::size_t>(part)]; }
  Sums sums(std::int64_t part, std::int64_t channel) const;
  void add_mean(std::int64_t part, Range channels, double share, double* mean) const;
  void add_squares(std::int64_t part, Range channels, const double* mean, double* squares) const;

  std::int64_t channels_;
  std::vector<Count> counts_;            // of each part
  Tensor short_storage_, long_storage_;  // [parts,3,channels] of T, [parts,2,channels] of double
  T* short_ = nullptr;                   // shift, Σ (x − shift), Σ (x − shift)²
  double* long_ = nullptr;               // the last two of all tiles but the last few
};

/// Tiles whose sums are added before they are added in double.
inline constexpr std::int64_t kTilesInFloat = 4;
/// Of a result, so that their sums stay small beside it.
inline constexpr std::int64_t kMostParts = 64;

}  // namespace dcl::tensor::cpu
