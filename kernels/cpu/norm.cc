#include "kernels/cpu/norm.h"

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/parallel_for.h"

// clang-format off
#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on
#include "kernels/cpu/vector_io-inl.h"

#ifndef BLOCKSERVE_KERNELS_CPU_NORM_CC_
#define BLOCKSERVE_KERNELS_CPU_NORM_CC_
namespace blockserve::cpu {

// y = (x - mean) * factor * gamma + beta, to up to two places.
struct NormRowArgs {
  const float* x = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;  // null: zeros
  void* output = nullptr;       // T, or null
  float* float_output = nullptr;
};

struct Moments {
  float mean = 0.0f;
  float factor = 0.0f;  // 1 / sqrt(variance + eps)
};

}  // namespace blockserve::cpu
#endif  // BLOCKSERVE_KERNELS_CPU_NORM_CC_

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;

// sum of f(x): two sums, so that one addition need not wait for the last.
template <class F>
float SumOver(const float* x, size_t dim, const F& f) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  auto sum_a = hn::Zero(d);
  auto sum_b = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= dim; i += 2 * lanes) {
    sum_a = hn::Add(sum_a, f(hn::LoadU(d, x + i)));
    sum_b = hn::Add(sum_b, f(hn::LoadU(d, x + i + lanes)));
  }
  for (; i + lanes <= dim; i += lanes) {
    sum_a = hn::Add(sum_a, f(hn::LoadU(d, x + i)));
  }
  if (i < dim) {
    const auto in_row = hn::FirstN(d, dim - i);
    const auto rest = f(LoadPartial(d, x + i, dim - i));
    sum_b = hn::Add(sum_b, hn::IfThenElseZero(in_row, rest));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(sum_a, sum_b)));
}

Moments MomentsOf(const float* x, size_t dim, float eps) {
  const FloatTag d;
  const float mean = SumOver(x, dim, [](auto v) HWY_ATTR { return v; }) /
                     static_cast<float>(dim);
  const auto means = hn::Set(d, mean);
  const float square_sum = SumOver(x, dim, [means](auto v) HWY_ATTR {
    const auto difference = hn::Sub(v, means);
    return hn::Mul(difference, difference);
  });
  const float variance = square_sum / static_cast<float>(dim);
  return {mean, 1.0f / std::sqrt(variance + eps)};
}

Moments RootMeanSquareOf(const float* x, size_t dim, float eps) {
  const float square_sum =
      SumOver(x, dim, [](auto v) HWY_ATTR { return hn::Mul(v, v); });
  return {0.0f, 1.0f / std::sqrt(square_sum / static_cast<float>(dim) + eps)};
}

template <typename T>
void WriteNorm(const NormRowArgs& row, const Moments& moments, size_t dim) {
  const FloatTag d;
  const auto mean = hn::Set(d, moments.mean);
  const auto factor = hn::Set(d, moments.factor);
  T* output = static_cast<T*>(row.output);
  ForEachVector(d, dim, [&](size_t, auto load, auto store) HWY_ATTR {
    const auto normal = hn::Mul(hn::Sub(load(row.x), mean), factor);
    const auto y = row.beta == nullptr
                       ? hn::Mul(normal, load(row.gamma))
                       : hn::MulAdd(normal, load(row.gamma), load(row.beta));
    if (output != nullptr) store(y, output);
    if (row.float_output != nullptr) store(y, row.float_output);
  });
}

void LayerNormRow(const NormRowArgs& row, size_t dim, float eps, bool bf16) {
  const Moments moments = MomentsOf(row.x, dim, eps);
  if (bf16) {
    WriteNorm<BFloat16>(row, moments, dim);
  } else {
    WriteNorm<float>(row, moments, dim);
  }
}

void DualLayerNormRow(const NormRowArgs& a, const NormRowArgs& b, size_t dim,
                      float eps, bool bf16) {
  const Moments moments = MomentsOf(a.x, dim, eps);
  for (const NormRowArgs* row : {&a, &b}) {
    if (bf16) {
      WriteNorm<BFloat16>(*row, moments, dim);
    } else {
      WriteNorm<float>(*row, moments, dim);
    }
  }
}

void RmsNormRow(const NormRowArgs& row, size_t dim, float eps, bool bf16) {
  const Moments moments = RootMeanSquareOf(row.x, dim, eps);
  if (bf16) {
    WriteNorm<BFloat16>(row, moments, dim);
  } else {
    WriteNorm<float>(row, moments, dim);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(LayerNormRow);
HWY_EXPORT(DualLayerNormRow);
HWY_EXPORT(RmsNormRow);

namespace {

template <typename T>
constexpr bool kIsBf16 = DTypeOf<T>() == DType::kBFloat16;

// A row of an optional output.
template <typename T>
T* RowOf(const TensorView& view, int64_t row) {
  return view.empty() ? nullptr : view.as<T>() + row * view.dim(1);
}

}  // namespace

template <typename T>
void LayerNorm(const LayerNormArgs& args, int num_threads) {
  const int64_t dim = args.input.dim(1);
  const auto norm_row = HWY_DYNAMIC_DISPATCH(LayerNormRow);
  ParallelFor(
      num_threads, args.input.dim(0), dim, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          norm_row({RowOf<float>(args.input, row), args.gamma.as<float>(),
                    args.beta.as<float>(), RowOf<T>(args.output, row),
                    RowOf<float>(args.float_output, row)},
                   dim, args.eps, kIsBf16<T>);
        }
      });
}

template <typename T>
void DualLayerNorm(const DualLayerNormArgs& args, int num_threads) {
  const int64_t dim = args.input.dim(1);
  const auto norm_row = HWY_DYNAMIC_DISPATCH(DualLayerNormRow);
  ParallelFor(
      num_threads, args.input.dim(0), dim, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const float* x = RowOf<float>(args.input, row);
          norm_row({x, args.gamma_a.as<float>(), args.beta_a.as<float>(),
                    RowOf<T>(args.output_a, row), nullptr},
                   {x, args.gamma_b.as<float>(), args.beta_b.as<float>(),
                    RowOf<T>(args.output_b, row), nullptr},
                   dim, args.eps, kIsBf16<T>);
        }
      });
}

template <typename T>
void RmsNorm(const RmsNormArgs& args, int num_threads) {
  const int64_t dim = args.input.dim(1);
  const auto norm_row = HWY_DYNAMIC_DISPATCH(RmsNormRow);
  ParallelFor(
      num_threads, args.input.dim(0), dim, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          norm_row({RowOf<float>(args.input, row), args.gamma.as<float>(),
                    nullptr, RowOf<T>(args.output, row),
                    RowOf<float>(args.float_output, row)},
                   dim, args.eps, kIsBf16<T>);
        }
      });
}

template void LayerNorm<float>(const LayerNormArgs&, int);
template void LayerNorm<BFloat16>(const LayerNormArgs&, int);
template void DualLayerNorm<float>(const DualLayerNormArgs&, int);
template void DualLayerNorm<BFloat16>(const DualLayerNormArgs&, int);
template void RmsNorm<float>(const RmsNormArgs&, int);
template void RmsNorm<BFloat16>(const RmsNormArgs&, int);

}  // namespace blockserve::cpu
#endif  // HWY_ONCE
