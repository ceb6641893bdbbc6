#include "kernels/cpu/amx/panel_product.h"

#include <algorithm>

#include "kernels/cpu/amx/epilogue-inl.h"
#include "kernels/cpu/amx/largest_epilogue-inl.h"
#include "kernels/cpu/amx/row_product-inl.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/amx/tile_product-inl.h"
#include "kernels/cpu/amx/tiles.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {
namespace {

// Activations that one pass multiplies: with the panel at hand, the next one
// and the output they fit a second-level cache of 2 MB.
constexpr int64_t kPassElements = 512 * 1152;
constexpr int64_t kMaxPassRows = 512;

// Depth of a pass that adds to its output, which can take the parts of a sum
// one after the other. At in_dim 3072, uncut, a pass would have too few rows to
// use a panel well; cut in two it is 10 % slower from 512 rows on than in four.
constexpr int64_t kMaxCutDepth = 768;

// Depends on nothing but the matrix and the kind of product, so that sums do
// not depend on the rows.
int64_t DepthOfPass(const PanelProduct& product) {
  const int64_t in_dim = product.weight->in_dim();
  if (!product.accumulate) return in_dim;
  const int64_t num_cuts = (in_dim + kMaxCutDepth - 1) / kMaxCutDepth;
  const int64_t steps_a_cut = (in_dim / kTileDepth + num_cuts - 1) / num_cuts;
  return steps_a_cut * kTileDepth;
}

// Of passes of one length, as nearly as blocks of rows allow: a short last pass
// would read all weights again for little.
int64_t RowsOfPass(int64_t depth, int64_t num_rows) {
  constexpr int64_t kBlock = 2 * kTileHeight;
  const int64_t max_rows =
      std::clamp(kPassElements / depth / kBlock * kBlock, kBlock, kMaxPassRows);
  const int64_t num_passes =
      std::max((num_rows + max_rows - 1) / max_rows, int64_t{1});
  const int64_t num_blocks = (num_rows + kBlock - 1) / kBlock;
  return (num_blocks + num_passes - 1) / num_passes * kBlock;
}

template <typename Epilogue>
void MultiplyDepth(const PanelProduct& product, const ProductPart& part,
                   DepthRange depth, const Epilogue& epilogue) {
  switch (part.row_end - part.row_begin) {
    case 1:
      return RowProduct<Epilogue, 1>(product, part, depth, epilogue).Run();
    case 2:
      return RowProduct<Epilogue, 2>(product, part, depth, epilogue).Run();
    default: {
      using Product = TileProduct<Epilogue>;
      const ScopedTiles tiles(
          TileConfig::WithHeight(Product::TileHeight(part)));
      return Product(product, part, depth, epilogue).Run();
    }
  }
}

template <Activation kActivation, typename Output, bool kAccumulate>
void MultiplyPass(const PanelProduct& product, const ProductPart& part,
                  DepthRange depth) {
  const StoreEpilogue<kActivation, Output, kAccumulate> epilogue(
      depth.begin == 0 ? product.bias : nullptr, product.output,
      product.weight->out_dim());
  MultiplyDepth(product, part, depth, epilogue);
}

template <typename Output>
void MultiplyAndActivate(const PanelProduct& product, const ProductPart& part,
                         DepthRange depth) {
  switch (product.activation) {
    case Activation::kNone:
      return MultiplyPass<Activation::kNone, Output, false>(product, part,
                                                            depth);
    case Activation::kGelu:
      return MultiplyPass<Activation::kGelu, Output, false>(product, part,
                                                            depth);
    case Activation::kGeluTanh:
      return MultiplyPass<Activation::kGeluTanh, Output, false>(product, part,
                                                                depth);
    case Activation::kRelu:
      return MultiplyPass<Activation::kRelu, Output, false>(product, part,
                                                            depth);
  }
}

void MultiplyRows(const PanelProduct& product, const ProductPart& part) {
  const int64_t in_dim = product.weight->in_dim();
  const int64_t depth = DepthOfPass(product);
  for (int64_t begin = 0; begin < in_dim; begin += depth) {
    const DepthRange range = {begin, std::min(begin + depth, in_dim)};
    if (product.accumulate) {
      MultiplyPass<Activation::kNone, float, true>(product, part, range);
    } else if (product.float_output) {
      MultiplyAndActivate<float>(product, part, range);
    } else {
      MultiplyAndActivate<BFloat16>(product, part, range);
    }
  }
}

// run(pass) for parts of `part` of RowsOfPass rows.
template <typename Run>
void ForEachPass(const ProductPart& part, int64_t depth, const Run& run) {
  const ScopedFlushSubnormals flush;
  const int64_t rows_a_pass = RowsOfPass(depth, part.row_end - part.row_begin);
  ProductPart pass = part;
  for (int64_t row = part.row_begin; row < part.row_end; row = pass.row_end) {
    pass.row_begin = row;
    pass.row_end = std::min(row + rows_a_pass, part.row_end);
    run(pass);
  }
}

}  // namespace

void MultiplyPart(const PanelProduct& product, const ProductPart& part) {
  ForEachPass(part, DepthOfPass(product),
              [&](const ProductPart& pass) { MultiplyRows(product, pass); });
}

void FindLargestInPart(const PanelProduct& product, const ProductPart& part,
                       LargestLogit* largest) {
  std::fill(largest + part.row_begin, largest + part.row_end, LargestLogit());
  const int64_t in_dim = product.weight->in_dim();
  const LargestEpilogue epilogue(product.weight->out_dim(), largest);
  ForEachPass(part, in_dim, [&](const ProductPart& pass) {
    MultiplyDepth(product, pass, {0, in_dim}, epilogue);
  });
}

}  // namespace blockserve::cpu::amx
AMX_TARGET_END
