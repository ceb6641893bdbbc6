// The start-up report of what was loaded.
#ifndef BLOCKSERVE_RUNTIME_MODEL_PART_SIZES_H_
#define BLOCKSERVE_RUNTIME_MODEL_PART_SIZES_H_

#include <vector>

#include "runtime/layers/weight_loader.h"
#include "runtime/model/model.h"

namespace blockserve {

inline std::vector<PartSize> PartSizesOf(const WeightLoader& loader) {
  std::vector<PartSize> sizes;
  for (const LoadedPart& part : loader.parts()) {
    sizes.push_back({part.name, part.num_parameters, part.num_bytes});
  }
  return sizes;
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_PART_SIZES_H_
