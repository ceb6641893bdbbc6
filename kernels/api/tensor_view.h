// A dense row-major tensor that someone else owns.
#ifndef BLOCKSERVE_KERNELS_API_TENSOR_VIEW_H_
#define BLOCKSERVE_KERNELS_API_TENSOR_VIEW_H_

#include <glog/logging.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "kernels/api/dtype.h"

namespace blockserve {

// A pointer, an element type and up to five extents; cheap to copy. The memory
// belongs to the device of the Ops it is handed to. A default TensorView is
// empty and stands for "not given" where an argument is optional.
class TensorView {
 public:
  static constexpr int kMaxRank = 5;

  TensorView() = default;
  TensorView(void* data, DType dtype, std::initializer_list<int64_t> shape)
      : data_(data), dtype_(dtype), rank_(static_cast<int>(shape.size())) {
    CHECK_LE(rank_, kMaxRank);
    int i = 0;
    for (int64_t extent : shape) extents_[i++] = extent;
  }

  bool empty() const { return data_ == nullptr; }
  void* data() const { return data_; }
  DType dtype() const { return dtype_; }
  int rank() const { return rank_; }

  int64_t dim(int i) const {
    DCHECK_LT(i, rank_);
    return extents_[i];
  }
  int64_t num_elements() const {
    int64_t count = 1;
    for (int i = 0; i < rank_; ++i) count *= extents_[i];
    return count;
  }
  size_t num_bytes() const {
    return static_cast<size_t>(num_elements()) * SizeOf(dtype_);
  }

  // The elements as `T`, which must be the view's dtype.
  template <typename T>
  T* as() const {
    DCHECK(data_ == nullptr || dtype_ == DTypeOf<T>());
    return static_cast<T*>(data_);
  }

  // The same elements with other extents; the counts must agree.
  TensorView Reshape(std::initializer_list<int64_t> shape) const {
    TensorView view(data_, dtype_, shape);
    DCHECK_EQ(view.num_elements(), num_elements());
    return view;
  }

  // A tensor like this one that lies at `data`.
  TensorView At(void* data) const {
    TensorView view = *this;
    view.data_ = data;
    return view;
  }

  // Rows [begin, end) of the first extent.
  TensorView Rows(int64_t begin, int64_t end) const {
    DCHECK_LE(0, begin);
    DCHECK_LE(begin, end);
    DCHECK_LE(end, extents_[0]);
    TensorView view = *this;
    int64_t row_elements = 1;
    for (int i = 1; i < rank_; ++i) row_elements *= extents_[i];
    view.data_ = static_cast<char*>(data_) +
                 static_cast<size_t>(begin * row_elements) * SizeOf(dtype_);
    view.extents_[0] = end - begin;
    return view;
  }

 private:
  void* data_ = nullptr;
  DType dtype_ = DType::kFloat32;
  int rank_ = 0;
  std::array<int64_t, kMaxRank> extents_ = {};
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_API_TENSOR_VIEW_H_
