#include "runtime/golden/tensor_recorder.h"

namespace blockserve {

void TensorRecorder::Add(std::string_view name, const TensorView& tensor) {
  Record record;
  for (int i = 0; i < tensor.rank(); ++i) record.shape.push_back(tensor.dim(i));
  const float* values = tensor.as<float>();
  record.values.assign(values, values + tensor.num_elements());
  records_[std::string(name)].push_back(std::move(record));
}

const std::vector<TensorRecorder::Record>& TensorRecorder::Of(
    const std::string& name) const {
  static const auto* const nothing = new std::vector<Record>();
  const auto found = records_.find(name);
  return found == records_.end() ? *nothing : found->second;
}

std::vector<std::string> TensorRecorder::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, records] : records_) names.push_back(name);
  return names;
}

}  // namespace blockserve
