// The oneDNN primitives of one weight shape.
//
// All functions here may throw dnnl::error; OneDnnLinear is where that ends.
#ifndef BLOCKSERVE_KERNELS_CPU_MATMUL_SHAPE_H_
#define BLOCKSERVE_KERNELS_CPU_MATMUL_SHAPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/api/ops.h"
#include "kernels/cpu/row_buckets.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace blockserve::cpu {

// What is fused behind a product.
struct Epilogue {
  static constexpr int kCount = 32;

  bool has_bias = false;
  bool accumulate = false;
  bool float_output = false;
  Activation activation = Activation::kNone;

  // In [0, kCount).
  int index() const {
    return static_cast<int>(activation) * 8 + has_bias * 4 + accumulate * 2 +
           float_output;
  }
};

// output = epilogue(input W^T) for one number of rows.
class MatmulPrimitive {
 public:
  MatmulPrimitive(const dnnl::matmul::primitive_desc& description,
                  const dnnl::engine& engine);

  // `bias` may be null if the epilogue has none; `scratch` has scratch_bytes().
  void Run(const void* input, const dnnl::memory& weight, const float* bias,
           void* output, void* scratch, const dnnl::stream& stream);

  size_t scratch_bytes() const { return scratch_bytes_; }
  // oneDNN's name of it, "brg:avx512_core_bf16".
  const std::string& implementation() const { return implementation_; }

 private:
  dnnl::matmul primitive_;
  std::string implementation_;
  bool has_bias_;
  size_t scratch_bytes_;
  // Descriptions whose pointers are set before each run.
  dnnl::memory input_, bias_, output_, scratch_;
};

class MatmulShape {
 public:
  // `dtype`: kFloat32 or kBFloat16, of inputs and weights.
  MatmulShape(const dnnl::engine& engine, DType dtype, int64_t out_dim,
              int64_t in_dim);

  int64_t out_dim() const { return out_dim_; }
  int64_t in_dim() const { return in_dim_; }

  // The layouts of packed weights that some bucket wants (so far oneDNN has
  // always wanted one for all), and which one bucket `i` wants.
  const std::vector<dnnl::memory::desc>& weight_layouts() const {
    return weight_layouts_;
  }
  int layout_of_bucket(int i) const { return layout_of_bucket_[i]; }

  // Null if Make was not called for it.
  MatmulPrimitive* Find(const Epilogue& epilogue, int bucket) const {
    return primitives_[epilogue.index()][bucket].get();
  }
  MatmulPrimitive& Make(const Epilogue& epilogue, int bucket);

 private:
  dnnl::matmul::primitive_desc Describe(const Epilogue& epilogue, int bucket,
                                        const dnnl::memory::desc& weight) const;

  const dnnl::engine engine_;
  const dnnl::memory::data_type type_;
  const int64_t out_dim_;
  const int64_t in_dim_;
  std::vector<dnnl::memory::desc> weight_layouts_;
  std::array<int, kNumRowBuckets> layout_of_bucket_ = {};
  std::array<std::array<std::unique_ptr<MatmulPrimitive>, kNumRowBuckets>,
             Epilogue::kCount>
      primitives_;
};

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_MATMUL_SHAPE_H_
