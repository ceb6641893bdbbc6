// Ops::Linear, as its definition.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_LINEAR_H_
#define BLOCKSERVE_KERNELS_REFERENCE_LINEAR_H_

#include "kernels/api/ops.h"

namespace blockserve::reference {

// gelu is the exact x/2 (1 + erf(x / sqrt 2)); gelu_tanh is GPT-2's
// x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
double Activate(double x, Activation activation);

// args.weight is a ReferenceMatrix<T>; shapes have been checked.
template <typename T>
void Linear(const LinearArgs& args);

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_LINEAR_H_
