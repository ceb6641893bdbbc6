// One thread's share of a product: rows of activations times panels.
//
// Every element is summed in one order, whatever the number of rows and however
// rows and panels are dealt to threads: a row's result has the same bits in
// every batch. The order is the tile instruction's. Of each kTileDepth inputs
// the products of the even ones are added up from zero, those of the odd ones
// too (fused multiply-add, fp32), then both sums are added to each other and to
// the total of the inputs before.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_PANEL_PRODUCT_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_PANEL_PRODUCT_H_

#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/amx/panel_matrix.h"
#include "kernels/cpu/largest_logit.h"

namespace blockserve::cpu::amx {

// output = activation(input W^T + bias), or output += ...; see LinearArgs.
struct PanelProduct {
  const BFloat16* input = nullptr;  // [rows, in_dim]
  const PanelMatrix* weight = nullptr;
  const float* bias = nullptr;  // [out_dim], or null
  Activation activation = Activation::kNone;
  bool accumulate = false;
  bool float_output = false;
  void* output = nullptr;  // BFloat16 or float [rows, out_dim]
};

struct ProductPart {
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
};

// Computes `part` of `product`; reads and writes nothing outside its rows and
// columns. Needs HasTiles().
void MultiplyPart(const PanelProduct& product, const ProductPart& part);

// Finds the largest element of each row of `part` of input W^T; the rest of
// `product` does not count.
//   largest: [row_end], elements [row_begin, row_end) are written
void FindLargestInPart(const PanelProduct& product, const ProductPart& part,
                       LargestLogit* largest);

}  // namespace blockserve::cpu::amx

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_PANEL_PRODUCT_H_
