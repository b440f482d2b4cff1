#include "tensor/cpu/tiles/conv2d_tiles.h"

#include "tensor/cpu/merged_phases.h"
#include "tensor/cpu/tiles/tile_product.h"

namespace dcl::tensor::cpu {

template <class T>
void conv2d_tiles(const Conv2dSizes& z, const T* x, const float* weight, const Epilogue<T>& end, T* y) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    const Windows<T> windows = forward_windows(z, x, g);
    const TileProduct<T> product(windows, z.batch);
    const auto panels =
        TilePanels::from_columns(product.panel_size(z.group_out()), weight + g * z.group_out() * depth);
    product.run(panels, end.from(g * z.group_out()), forward_grid(z, y, g));
  }
}

template <class T>
const std::vector<TilePanels>& TileWeight<T>::panels(const PanelSize& size, std::int64_t groups) {
  Form& form = forms_[size.taps > 1 ? 1 : 0];
  std::call_once(form.once, [&] {
    const std::int64_t group_numbers = weight_.numel() / groups;
    for (std::int64_t g = 0; g < groups; ++g)
      form.panels.push_back(TilePanels::from_columns(size, weight_.data<float>() + g * group_numbers));
  });
  return form.panels;
}

template <class T>
void TileWeight<T>::conv2d(const Conv2dSizes& z, const T* x, const Epilogue<T>& end, T* y) {
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    const Windows<T> windows = forward_windows(z, x, g);
    const TileProduct<T> product(windows, z.batch);
    const auto& of_groups = panels(product.panel_size(z.group_out()), z.params.groups);
    product.run(of_groups[static_cast<std::size_t>(g)], end.from(g * z.group_out()), forward_grid(z, y, g));
  }
}

namespace {

// One phase of the input gradient of one group.
template <class T>
void input_gradient_phase(const Conv2dSizes& z, const T* dy, const float* weight, const GradientPhase& phase,
                          const RowGrid<T>& grid) {
  const Windows<T> windows = phase.windows(dy);
  const TileProduct<T> product(windows, z.batch);
  const auto panels = TilePanels::from_rows(
      product.panel_size(z.group_in()),
      {.matrix = weight, .channels = z.group_out(), .all_taps = z.kernel_h * z.kernel_w, .taps = phase.taps});
  product.run(panels, {}, grid);
}

}  // namespace

template <class T>
void conv2d_backward_input_tiles(const Conv2dSizes& z, const T* dy, const float* weight, T* dx, bool add) {
  for_each_input_gradient(z, dy, weight, dx, add, input_gradient_phase<T>);
}

template class TileWeight<bfloat16>;
template class TileWeight<float>;
template void conv2d_tiles<bfloat16>(const Conv2dSizes&, const bfloat16*, const float*,
                                     const Epilogue<bfloat16>&, bfloat16*);
template void conv2d_tiles<float>(const Conv2dSizes&, const float*, const float*, const Epilogue<float>&,
                                  float*);
template void conv2d_backward_input_tiles<bfloat16>(const Conv2dSizes&, const bfloat16*, const float*,
                                                    bfloat16*, bool);
template void conv2d_backward_input_tiles<float>(const Conv2dSizes&, const float*, const float*, float*,
                                                 bool);

}  // namespace dcl::tensor::cpu
