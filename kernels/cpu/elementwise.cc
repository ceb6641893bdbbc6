#include "kernels/cpu/elementwise.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/cpu/parallel_for.h"

// clang-format off
#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on
#include "kernels/cpu/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

template <typename From, typename To>
void Convert(const From* input, To* output, size_t count) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, count, [&](size_t, auto load, auto store) HWY_ATTR {
    store(load(input), output);
  });
}

void ToBf16(const float* input, BFloat16* output, size_t count) {
  Convert(input, output, count);
}

void ToFp32(const BFloat16* input, float* output, size_t count) {
  Convert(input, output, count);
}

template <typename T>
void AddTo(const T* input, float* output, size_t count) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, count, [&](size_t, auto load, auto store) HWY_ATTR {
    store(hn::Add(load(output), load(input)), output);
  });
}

void AddFp32(const float* input, float* output, size_t count) {
  AddTo(input, output, count);
}

void AddBf16(const BFloat16* input, float* output, size_t count) {
  AddTo(input, output, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(ToBf16);
HWY_EXPORT(ToFp32);
HWY_EXPORT(AddFp32);
HWY_EXPORT(AddBf16);

namespace {

// Elements that one thread converts at a time.
constexpr int64_t kSliceLength = 4096;

const char* BytesOf(const TensorView& view, int64_t element) {
  return static_cast<const char*>(view.data()) + element * SizeOf(view.dtype());
}

char* MutableBytesOf(const TensorView& view, int64_t element) {
  return static_cast<char*>(view.data()) + element * SizeOf(view.dtype());
}

// `count` elements of `input` from `from` on to those of `output` from `to`
// on, converted if the types differ.
void CopyElements(const TensorView& input, int64_t from,
                  const TensorView& output, int64_t to, int64_t count) {
  if (input.dtype() == output.dtype()) {
    std::memcpy(MutableBytesOf(output, to), BytesOf(input, from),
                count * SizeOf(input.dtype()));
  } else if (input.dtype() == DType::kFloat32) {
    HWY_DYNAMIC_DISPATCH(ToBf16)
    (input.as<float>() + from, output.as<BFloat16>() + to, count);
  } else {
    HWY_DYNAMIC_DISPATCH(ToFp32)
    (input.as<BFloat16>() + from, output.as<float>() + to, count);
  }
}

void AddElements(const TensorView& input, int64_t from, float* output,
                 int64_t count) {
  if (input.dtype() == DType::kFloat32) {
    HWY_DYNAMIC_DISPATCH(AddFp32)(input.as<float>() + from, output, count);
  } else {
    HWY_DYNAMIC_DISPATCH(AddBf16)(input.as<BFloat16>() + from, output, count);
  }
}

}  // namespace

void Embed(const EmbedArgs& args, int num_threads) {
  const int64_t dim = args.output.dim(1);
  const int32_t* ids = args.ids.as<int32_t>();
  ParallelFor(
      num_threads, args.output.dim(0), dim, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t id = std::max(ids[row * args.ids_stride], 0);
          CHECK_LT(id, args.table.dim(0)) << "id of row " << row;
          if (args.accumulate) {
            AddElements(args.table, id * dim,
                        args.output.as<float>() + row * dim, dim);
          } else {
            CopyElements(args.table, id * dim, args.output, row * dim, dim);
          }
        }
      });
}

void Cast(const TensorView& input, const TensorView& output, int num_threads) {
  const int64_t count = input.num_elements();
  const int64_t num_slices = (count + kSliceLength - 1) / kSliceLength;
  ParallelFor(num_threads, num_slices, kSliceLength,
              [&](int64_t begin, int64_t end) {
                const int64_t first = begin * kSliceLength;
                const int64_t last = std::min(end * kSliceLength, count);
                CopyElements(input, first, output, first, last - first);
              });
}

void GatherRows(const TensorView& input, const TensorView& indices,
                const TensorView& output, int num_threads) {
  const int64_t dim = input.dim(1);
  ParallelFor(
      num_threads, indices.dim(0), dim, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t index = indices.as<int32_t>()[row];
          CHECK(index >= 0 && index < input.dim(0)) << "index " << index;
          CopyElements(input, index * dim, output, row * dim, dim);
        }
      });
}

void CopyColumns(const TensorView& input, int64_t column_begin,
                 const TensorView& output, int num_threads) {
  const int64_t dim = output.dim(1);
  ParallelFor(num_threads, input.dim(0), dim, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      CopyElements(input, row * input.dim(1) + column_begin, output, row * dim,
                   dim);
    }
  });
}

}  // namespace blockserve::cpu
#endif  // HWY_ONCE
