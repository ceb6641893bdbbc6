#include "kernels/reference/embedding.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/reference/element.h"

namespace blockserve::reference {

void Embed(const EmbedArgs& args) {
  const int64_t rows = args.output.dim(0);
  const int64_t dim = args.output.dim(1);
  const int32_t* ids = args.ids.as<int32_t>();
  float* output = args.output.as<float>();
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t id = std::max(ids[row * args.ids_stride], 0);
    CHECK_LT(id, args.table.dim(0)) << "id of row " << row;
    for (int64_t i = 0; i < dim; ++i) {
      const float value = LoadElement(args.table, id * dim + i);
      float* element = output + row * dim + i;
      *element = args.accumulate ? *element + value : value;
    }
  }
}

void Cast(const TensorView& input, const TensorView& output) {
  const int64_t count = input.num_elements();
  for (int64_t i = 0; i < count; ++i) {
    StoreElement(LoadElement(input, i), output, i);
  }
}

void GatherRows(const TensorView& input, const TensorView& indices,
                const TensorView& output) {
  const size_t row_bytes = input.dim(1) * SizeOf(input.dtype());
  const char* source = static_cast<const char*>(input.data());
  char* destination = static_cast<char*>(output.data());
  for (int64_t row = 0; row < indices.dim(0); ++row) {
    const int64_t index = indices.as<int32_t>()[row];
    CHECK(index >= 0 && index < input.dim(0)) << "index " << index;
    std::memcpy(destination + row * row_bytes, source + index * row_bytes,
                row_bytes);
  }
}

void CopyColumns(const TensorView& input, int64_t column_begin,
                 const TensorView& output) {
  const size_t element_bytes = SizeOf(input.dtype());
  const size_t row_bytes = output.dim(1) * element_bytes;
  const char* source = static_cast<const char*>(input.data());
  char* destination = static_cast<char*>(output.data());
  for (int64_t row = 0; row < input.dim(0); ++row) {
    const int64_t first = row * input.dim(1) + column_begin;
    std::memcpy(destination + row * row_bytes, source + first * element_bytes,
                row_bytes);
  }
}

}  // namespace blockserve::reference
