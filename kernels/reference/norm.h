// The norms of ops.h, as their definitions. Their outputs are typed at run
// time, so there is no T here.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_NORM_H_
#define BLOCKSERVE_KERNELS_REFERENCE_NORM_H_

#include "kernels/api/ops.h"

namespace blockserve::reference {

void LayerNorm(const LayerNormArgs& args);
void DualLayerNorm(const DualLayerNormArgs& args);
void RmsNorm(const RmsNormArgs& args);

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_NORM_H_
