#include "kernels/cpu/onednn_linear.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/matmul_shape.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/row_buckets.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cpu {
namespace {

// One copy of the weight per layout that the shape's primitives want.
class PackedMatrix : public Matrix {
 public:
  struct Copy {
    Buffer buffer;
    dnnl::memory memory;
  };

  PackedMatrix(MatmulShape* shape, std::vector<Copy> copies)
      : shape_(shape),
        out_dim_(shape->out_dim()),
        in_dim_(shape->in_dim()),
        copies_(std::move(copies)) {}

  int64_t out_dim() const override { return out_dim_; }
  int64_t in_dim() const override { return in_dim_; }
  size_t num_bytes() const override {
    size_t sum = 0;
    for (const Copy& copy : copies_) sum += copy.buffer.num_bytes();
    return sum;
  }

  MatmulShape& shape() const { return *shape_; }
  const dnnl::memory& ForBucket(int bucket) const {
    return copies_[shape_->layout_of_bucket(bucket)].memory;
  }

 private:
  MatmulShape* const shape_;  // the engine's, which outlives us
  const int64_t out_dim_;
  const int64_t in_dim_;
  const std::vector<Copy> copies_;
};

// Where oneDNN's exceptions become a Status.
template <typename Function>
absl::Status WithoutExceptions(const Function& function) {
  try {
    return function();
  } catch (const dnnl::error& error) {
    return absl::InternalError(absl::StrCat(
        "oneDNN status ", static_cast<int>(error.status), ": ", error.what()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory in a matrix product");
  }
}

char* RowOf(const TensorView& view, int64_t row) {
  return static_cast<char*>(view.data()) +
         row * view.dim(1) * SizeOf(view.dtype());
}

}  // namespace

OneDnnLinear::OneDnnLinear(DType dtype, int num_threads)
    : dtype_(dtype),
      num_threads_(num_threads),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_) {}

OneDnnLinear::~OneDnnLinear() = default;

absl::StatusOr<std::unique_ptr<OneDnnLinear>> OneDnnLinear::Create(
    DType dtype, int num_threads) {
  std::unique_ptr<OneDnnLinear> engine;
  const absl::Status status = WithoutExceptions([&] {
    engine.reset(new OneDnnLinear(dtype, num_threads));
    const MatmulShape probe(engine->engine_, dtype, 64, 64);
    return absl::OkStatus();
  });
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("this CPU has no ", std::string(NameOf(dtype)),
                     " matrix product (", status.message(), "); use fp32"));
  }
  return engine;
}

MatmulShape& OneDnnLinear::ShapeOf(int64_t out_dim, int64_t in_dim) {
  auto& shape = shapes_[{out_dim, in_dim}];
  if (shape == nullptr) {
    shape = std::make_unique<MatmulShape>(engine_, dtype_, out_dim, in_dim);
  }
  return *shape;
}

absl::StatusOr<std::unique_ptr<Matrix>> OneDnnLinear::Pack(const float* weight,
                                                           int64_t out_dim,
                                                           int64_t in_dim) {
  using Tag = dnnl::memory::format_tag;
  const ScopedOmpThreads threads(num_threads_);
  std::unique_ptr<Matrix> matrix;
  RETURN_IF_ERROR(WithoutExceptions([&]() -> absl::Status {
    MatmulShape& shape = ShapeOf(out_dim, in_dim);
    // oneDNN sees weights as [in_dim, out_dim]; `ba` is their transposition.
    dnnl::memory source(
        {{in_dim, out_dim}, dnnl::memory::data_type::f32, Tag::ba}, engine_,
        const_cast<float*>(weight));
    std::vector<PackedMatrix::Copy> copies;
    for (const dnnl::memory::desc& layout : shape.weight_layouts()) {
      ASSIGN_OR_RETURN(Buffer buffer, AllocateMemory(layout.get_size()));
      dnnl::memory packed(layout, engine_, buffer.data());
      dnnl::reorder(source, packed).execute(stream_, source, packed);
      stream_.wait();
      copies.push_back({std::move(buffer), std::move(packed)});
    }
    matrix = std::make_unique<PackedMatrix>(&shape, std::move(copies));
    return absl::OkStatus();
  }));
  return matrix;
}

absl::Status OneDnnLinear::MakePrimitives(MatmulShape& shape,
                                          const Epilogue& epilogue,
                                          int bucket) {
  const int last = RowBucketOf(std::min(max_rows_, kMaxBucketRows));
  size_t scratch_bytes = scratch_.num_bytes();
  for (int i = 0; i < kNumRowBuckets; ++i) {
    const bool wanted = i == bucket || (max_rows_ > 0 && i <= last);
    if (!wanted || shape.Find(epilogue, i) != nullptr) continue;
    const MatmulPrimitive& primitive = shape.Make(epilogue, i);
    scratch_bytes = std::max(scratch_bytes, primitive.scratch_bytes());
    implementations_.insert(primitive.implementation());
    ++num_primitives_;
  }
  if (scratch_bytes > scratch_.num_bytes()) {
    ASSIGN_OR_RETURN(scratch_, AllocateMemory(scratch_bytes));
  }
  return absl::OkStatus();
}

absl::Status OneDnnLinear::Run(const LinearArgs& args) {
  const ScopedOmpThreads threads(num_threads_);
  const auto* weight = dynamic_cast<const PackedMatrix*>(args.weight);
  CHECK(weight != nullptr) << "a matrix of another backend";
  MatmulShape& shape = weight->shape();
  const Epilogue epilogue = {
      .has_bias = !args.bias.empty(),
      .accumulate = args.accumulate,
      .float_output = args.output.dtype() == DType::kFloat32,
      .activation = args.activation};
  const float* bias = args.bias.empty() ? nullptr : args.bias.as<float>();
  const int64_t rows = args.input.dim(0);
  return WithoutExceptions([&]() -> absl::Status {
    for (int64_t row = 0; row < rows; row += kMaxBucketRows) {
      const int bucket = RowBucketOf(std::min(rows - row, kMaxBucketRows));
      MatmulPrimitive* primitive = shape.Find(epilogue, bucket);
      if (primitive == nullptr) {
        RETURN_IF_ERROR(MakePrimitives(shape, epilogue, bucket));
        primitive = shape.Find(epilogue, bucket);
      }
      primitive->Run(RowOf(args.input, row), weight->ForBucket(bucket), bias,
                     RowOf(args.output, row), scratch_.data(), stream_);
    }
    return absl::OkStatus();
  });
}

}  // namespace blockserve::cpu
