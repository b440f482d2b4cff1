#include "tensor/cpu/tiles/tile_product.h"

#include <algorithm>
#include <type_traits>

#include "tensor/cpu/features.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/live_taps.h"
#include "tensor/cpu/tiles/overlapped_rows.h"
#include "tensor/cpu/tiles/padded_copy.h"
#include "tensor/cpu/tiles/tile_task.h"

namespace dcl::tensor::cpu {

namespace {

// A task's left operand leaves room for a small right one (tile_task.h) in the second-level cache.
std::int64_t left_bytes() { return second_level_cache() / 2; }
constexpr std::int64_t kTaskRows = 256;
// Tasks for each thread where there is more than one way to cut them, and how short their rows and panels may
// be.
constexpr std::int64_t kTasks = 4;
constexpr std::int64_t kTaskStrips = 2;
constexpr std::int64_t kGroupPanels = 4;
// Channels are filled up to whole blocks in a copy: by at most a third.
constexpr double kMaxFilled = 1.34;

template <class T>
std::int64_t row_bytes(std::int64_t depth) {
  return divide_up(depth, kBlockDepth) * kBlockDepth * kParts<T> *
         static_cast<std::int64_t>(sizeof(bfloat16));
}

template <class T>
void locate_rows(const Windows<T>& windows, std::int64_t begin, std::int64_t count, const RowGrid<T>& grid,
                 std::vector<T*>& y) {
  RowCursor<T> cursor(windows, begin);
  y.resize(static_cast<std::size_t>(count));
  for (auto& row : y) {
    const auto& [n, p, q] = cursor.at();
    row = grid.y + n * grid.image_stride + p * grid.row_stride + q * grid.pixel_stride;
    cursor.advance();
  }
}

// Rows [begin, end), which begin or continue a part of their moments, against panels [first, last).
struct TileShare {
  std::int64_t begin, end;
  std::int64_t part;
  bool begins_part;
  std::int64_t first, last;
};

// Tasks of rows by groups of panels, `run(share)`; those of the same rows one after the other.
template <class Body>
void for_each_tile(std::int64_t rows, std::int64_t task_rows, std::int64_t panels, MomentSums<float>* moments,
                   Body&& body) {
  const std::int64_t height = tile_kernel().rows;
  const std::int64_t threads = num_threads();
  const std::int64_t strips = divide_up(rows, height);
  // Of a right operand that is the larger one every task reads its own columns.
  const std::int64_t wanted =
      panels * kTileCols > rows ? 1 : std::min(row_tasks(moments != nullptr), strips / kTaskStrips);
  const std::int64_t tiles = std::min(strips, std::max(divide_up(rows, task_rows), wanted));
  const std::int64_t most_groups = tiles < threads ? panels : divide_up(panels, kGroupPanels);
  const std::int64_t groups = std::min(most_groups, divide_up(kTasks * threads, tiles));
  const std::int64_t parts = moments != nullptr ? std::min(tiles, kMostParts) : tiles;
  if (moments != nullptr) moments->set_parts(parts);
  parallel_items(parts * groups, [&](Items& items) {
    body([&](auto&& run) {
      for (std::int64_t task = 0; items.take(task);) {
        const std::int64_t part = task / groups;
        const std::int64_t group = task % groups;
        const std::int64_t first = tiles * part / parts;
        for (std::int64_t tile = first; tile < tiles * (part + 1) / parts; ++tile)
          run(TileShare{strips * tile / tiles * height, std::min(rows, strips * (tile + 1) / tiles * height),
                        part, tile == first, panels * group / groups, panels * (group + 1) / groups});
      }
    });
  });
}

// Pixels that are rows of the left operand as they lie.
void run_in_place(const Windows<bfloat16>& w, std::int64_t rows, const TilePanels& b,
                  const Epilogue<bfloat16>& end_of_sums, const RowGrid<bfloat16>& grid) {
  const std::int64_t height = tile_kernel().rows;
  const std::int64_t task_rows =
      std::clamp(left_bytes() / row_bytes<bfloat16>(w.channels), height, kTaskRows);
  for_each_tile(rows, task_rows, b.size().panels(), end_of_sums.moments, [&](auto&& for_each_task) {
    TileTask<bfloat16> task(b, end_of_sums, grid);
    task.set_left(w.pixel_stride, height * w.pixel_stride,
                  [](std::int64_t block, std::int64_t) { return block * kBlockDepth; });
    task.set_from_memory();
    std::vector<bfloat16> rest;
    for_each_task([&](const TileShare& share) {
      const auto [begin, end, part, begins_part, first, last] = share;
      if (begins_part) task.begin_part(part);
      const std::int64_t whole = end == rows ? (end - begin) / height * height : end - begin;
      locate_rows(w, begin, whole, grid, task.y());
      task.multiply(w.x + begin * w.pixel_stride, whole, first, last);
      if (begin + whole == end) return;
      // The last strip would read over the end of x.
      rest.assign(static_cast<std::size_t>(height * w.pixel_stride), bfloat16());
      std::copy_n(w.x + (begin + whole) * w.pixel_stride,
                  (end - begin - whole - 1) * w.pixel_stride + w.channels, rest.data());
      locate_rows(w, begin + whole, end - begin - whole, grid, task.y());
      task.multiply(rest.data(), end - begin - whole, first, last);
    });
  });
}

// Rows [row][part][depth], the depth filled up with zeros to whole blocks. Rows lie an odd number of cache
// lines apart: else those of a tile would fall on one set of the first-level cache.
template <class T>
class GatheredRows {
 public:
  GatheredRows(const Windows<T>& w, std::int64_t rows)
      : w_(w),
        part_stride_(divide_up(w.depth(), kBlockDepth) * kBlockDepth),
        row_stride_(odd_lines(kParts<T> * part_stride_)),
        storage_(Tensor::zeros({rows * row_stride_}, {DType::bfloat16, {}})) {}

  std::int64_t row_stride() const { return row_stride_; }
  std::int64_t part_stride() const { return part_stride_; }
  const bfloat16* data() const { return storage_.data<bfloat16>(); }

  void gather(std::int64_t begin, std::int64_t count) {
    WindowReader<T> reader(w_, begin, 0, w_.depth());
    auto* row = storage_.data<bfloat16>();
    for (std::int64_t i = 0; i < count; ++i, row += row_stride_)
      reader.visit([&](std::int64_t column, std::int64_t numbers, const T* source) {
        write(source, numbers, row + column);
      });
  }

 private:
  static std::int64_t odd_lines(std::int64_t numbers) {
    constexpr auto kLine = static_cast<std::int64_t>(64 / sizeof(bfloat16));
    return (divide_up(numbers, kLine) | 1) * kLine;
  }

  void write(const T* source, std::int64_t numbers, bfloat16* to) const {
    if (source == nullptr) {
      for (std::int64_t part = 0; part < kParts<T>; ++part)
        std::fill_n(to + part * part_stride_, numbers, bfloat16());
    } else if constexpr (std::is_same_v<T, float>) {
      split_to_bfloat16(source, numbers, to, part_stride_);
    } else {
      std::copy_n(source, numbers, to);
    }
  }

  const Windows<T>& w_;
  std::int64_t part_stride_, row_stride_;
  Tensor storage_;
};

template <class T>
void run_gathered(const Windows<T>& w, std::int64_t rows, bool leave_out_taps, const TilePanels& b,
                  const Epilogue<T>& end_of_sums, const RowGrid<T>& grid) {
  const std::int64_t height = tile_kernel().rows;
  const std::int64_t task_rows = std::clamp(left_bytes() / row_bytes<T>(w.depth()), height, kTaskRows);
  for_each_tile(rows, task_rows, b.size().panels(), end_of_sums.moments, [&](auto&& for_each_task) {
    TileTask<T> task(b, end_of_sums, grid);
    GatheredRows<T> left(w, task_rows + height);
    task.set_left(left.row_stride(), height * left.row_stride(), [&](std::int64_t block, std::int64_t part) {
      return part * left.part_stride() + block * kBlockDepth;
    });
    std::int64_t gathered = -1;
    for_each_task([&](const TileShare& share) {
      const auto [begin, end, part, begins_part, first, last] = share;
      if (begins_part) task.begin_part(part);
      if (begin != gathered) {
        left.gather(begin, end - begin);
        locate_rows(w, begin, end - begin, grid, task.y());
        if (leave_out_taps) task.set_live_taps(live_taps(w, {begin, end}, height), w.channels / kBlockDepth);
        gathered = begin;
      }
      task.multiply(std::as_const(left).data(), end - begin, first, last);
    });
  });
}

// Output rows one by one, from copies of the input rows of a few.
template <class T>
void run_overlapped(const Windows<T>& w, std::int64_t batch, const TilePanels& b,
                    const Epilogue<T>& end_of_sums, const RowGrid<T>& grid) {
  // A few output rows share their input rows, which stay in the first-level cache.
  MomentSums<float>* const moments = end_of_sums.moments;
  const std::int64_t tasks = moments == nullptr ? num_threads() : row_tasks(true);
  const std::int64_t rows = std::min<std::int64_t>(16, divide_up(w.out_h, divide_up(tasks, batch)));
  const std::int64_t bands = divide_up(w.out_h, rows);
  if (moments != nullptr) moments->set_parts(batch * bands);
  const std::int64_t tap_blocks = b.size().tap_blocks();
  parallel_items(batch * bands, [&](Items& items) {
    TileTask<T> task(b, end_of_sums, grid);
    OverlappedRows<T> left(w, rows);
    task.set_left(left.pixel_stride(), tile_kernel().rows * left.pixel_stride(),
                  [&](std::int64_t block, std::int64_t part) {
                    return part * left.part_stride() + left.tap_row(block / tap_blocks) +
                           block % tap_blocks * kBlockDepth;
                  });
    for (std::int64_t i = 0; items.take(i);) {
      const std::int64_t n = i / bands;
      const std::int64_t first = w.out_h * (i % bands) / bands;
      const std::int64_t last = w.out_h * (i % bands + 1) / bands;
      left.copy(n, first, last - first);
      task.begin_part(i);
      for (std::int64_t p = first; p < last; ++p) {
        locate_rows(w, (n * w.out_h + p) * w.out_w, w.out_w, grid, task.y());
        task.multiply(left.data() + (p - first) * left.output_row_stride(), w.out_w, 0, b.size().panels());
      }
    }
  });
}

// Bands small enough for the cache, enough of them for all threads.
struct BandPlan {
  std::int64_t images = 1;  // of a band, at most
  std::int64_t rows;        // likewise
  std::int64_t groups = 1;  // of panels, each a task of its own for every band

  template <class T>
  static BandPlan make(const Windows<T>& w, std::int64_t batch, std::int64_t panels, bool with_moments) {
    const PaddedLayout<T> one(w, 1, w.in_h, 0);
    const std::int64_t bytes = one.numbers() * 2;
    if (panels * kTileCols > batch * w.out_h * w.out_w) {
      // The weight is the larger operand, of which every task reads its own columns; bands would be short.
      BandPlan plan = share_pictures(w, batch, bytes, 1);
      plan.groups = std::min(panels, dear_tasks());
      return plan;
    }
    return share_pictures(w, batch, bytes, row_tasks(with_moments));
  }

 private:
  template <class T>
  static BandPlan share_pictures(const Windows<T>& w, std::int64_t batch, std::int64_t bytes,
                                 std::int64_t tasks) {
    if (bytes > left_bytes() || batch < tasks) {
      const std::int64_t bands = std::max(divide_up(bytes, left_bytes()), divide_up(tasks, batch));
      return {1, divide_up(w.out_h, std::min(bands, w.out_h))};
    }
    const std::int64_t wanted = divide_up(batch, std::min(left_bytes() / bytes, batch));
    return {divide_up(batch, std::max(wanted, tasks)), w.out_h};
  }
};

template <class T>
void locate_band(const Windows<T>& w, const Band& band, std::int64_t width, const RowGrid<T>& grid,
                 std::vector<T*>& y) {
  y.clear();
  for (std::int64_t p = band.row; p < band.row + band.rows; ++p)
    for (std::int64_t n = band.image; n < band.image + band.images; ++n)
      for (std::int64_t q = 0; q < width; ++q)
        y.push_back(q < w.out_w ? grid.y + n * grid.image_stride + p * grid.row_stride + q * grid.pixel_stride
                                : nullptr);
}

template <class T>
void run_from_copy(const Windows<T>& w, std::int64_t batch, const TilePanels& b,
                   const Epilogue<T>& end_of_sums, const RowGrid<T>& grid) {
  const std::int64_t panels = b.size().panels();
  auto plan = BandPlan::make(w, batch, panels, end_of_sums.moments != nullptr);
  const std::int64_t height = tile_kernel().rows;
  const PaddedLayout<T> layout(w, plan.images, plan.rows, height);
  const std::int64_t groups = divide_up(batch, plan.images);
  const std::int64_t bands = divide_up(w.out_h, plan.rows);
  if (end_of_sums.moments != nullptr) {
    end_of_sums.moments->set_parts(groups * bands);
    plan.groups = std::max(plan.groups, column_groups(panels, groups * bands, true));
  }
  parallel_items(groups * bands * plan.groups, [&](Items& items) {
    TileTask<T> task(b, end_of_sums, grid);
    Tensor storage = Tensor::empty({layout.numbers()}, {DType::bfloat16, {}});
    auto* const copy = storage.data<bfloat16>();
    std::int64_t copied = -1;
    for (std::int64_t item = 0; items.take(item);) {
      const std::int64_t i = item / plan.groups;
      const std::int64_t group = item % plan.groups;
      const std::int64_t first = panels * group / plan.groups;
      const std::int64_t last = panels * (group + 1) / plan.groups;
      Band band{.image = i / bands * plan.images, .images = 0, .row = i % bands * plan.rows, .rows = 0};
      band.images = std::min(plan.images, batch - band.image);
      band.rows = std::min(plan.rows, w.out_h - band.row);
      task.begin_part(i);
      const bfloat16* const origin = copy + layout.origin(band.images) * kBlockDepth;
      if (i == copied) {
        task.multiply(origin, std::ssize(task.y()), first, last);
        continue;
      }
      copied = i;
      copy_padded(w, band, layout, copy);
      task.set_left(kBlockDepth, height * kBlockDepth, [&](std::int64_t block, std::int64_t part) {
        const std::int64_t tap = block / layout.chunks;
        const auto taps_w = std::ssize(w.taps_w);
        const std::int64_t distance =
            layout.distance(w.taps_h[static_cast<std::size_t>(tap / taps_w)],
                            w.taps_w[static_cast<std::size_t>(tap % taps_w)], band.images);
        return part * layout.part_stride + block % layout.chunks * layout.chunk_stride() +
               distance * kBlockDepth;
      });
      locate_band(w, band, layout.width, grid, task.y());
      task.multiply(origin, std::ssize(task.y()), first, last);
    }
  });
}

// What a product of no terms leaves: positions of an input gradient that no output has read.
template <class T>
void fill_zeros(const Windows<T>& w, std::int64_t rows, std::int64_t cols, const RowGrid<T>& grid) {
  std::vector<T*> y;
  locate_rows(w, 0, rows, grid, y);
  for (T* row : y) std::fill_n(row, cols, T());
}

}  // namespace

template <class T>
TileProduct<T>::TileProduct(const Windows<T>& windows, std::int64_t batch)
    : windows_(windows), batch_(batch), reading_(Reading::gathered) {
  const std::int64_t filled = divide_up(windows.channels, kBlockDepth) * kBlockDepth;
  // Rows a multiple of 4 KiB apart fall on one set of the first-level cache.
  if (std::is_same_v<T, bfloat16> && windows.plain_rows() && windows.order.empty() &&
      filled == windows.channels && (tile_kernel().any_stride || windows.pixel_stride % 2048 != 0)) {
    reading_ = Reading::in_place;
  } else if (OverlappedRows<T>::fits(windows)) {
    reading_ = Reading::overlapped;
  } else if (leaving_out_taps_pays(windows, batch)) {
    reading_ = Reading::gathered;
    leaves_out_taps_ = true;
    windows_.order = order_by_live_taps(windows_, batch);
  } else if (PaddedLayout<T>::fits(windows) &&
             static_cast<double>(filled) <= kMaxFilled * static_cast<double>(windows.channels)) {
    reading_ = Reading::from_copy;
  }
}

template <class T>
PanelSize TileProduct<T>::panel_size(std::int64_t cols) const {
  const auto taps = static_cast<std::int64_t>(windows_.taps_h.size() * windows_.taps_w.size());
  // Gathered rows lie without gaps between their taps.
  if (reading_ == Reading::gathered) return {1, taps * windows_.channels, cols, kParts<T>};
  if (reading_ == Reading::overlapped) {
    const auto taps_h = std::ssize(windows_.taps_h);
    return {taps_h, taps / taps_h * windows_.channels, cols, kParts<T>};
  }
  return {taps, windows_.channels, cols, kParts<T>};
}

template <class T>
void TileProduct<T>::run(const TilePanels& b, const Epilogue<T>& end, const RowGrid<T>& grid) const {
  const std::int64_t rows = batch_ * windows_.out_h * windows_.out_w;
  if (rows == 0) return;
  if (windows_.depth() == 0) return grid.add ? void() : fill_zeros(windows_, rows, b.size().cols, grid);
  if constexpr (std::is_same_v<T, bfloat16>)
    if (reading_ == Reading::in_place) return run_in_place(windows_, rows, b, end, grid);
  if (reading_ == Reading::from_copy) return run_from_copy(windows_, batch_, b, end, grid);
  if (reading_ == Reading::overlapped) return run_overlapped(windows_, batch_, b, end, grid);
  run_gathered(windows_, rows, leaves_out_taps_, b, end, grid);
}

template class TileProduct<bfloat16>;
template class TileProduct<float>;

}  // namespace dcl::tensor::cpu
