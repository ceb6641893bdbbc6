#include "runtime/golden/tensor_recorder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace blockserve {
namespace {

bool IsDealt(const std::string& name) {
  return name == "logits" || name == "expanded" ||
         absl::StartsWith(name, "token_decoder.");
}

}  // namespace

void TensorRecorder::Add(int rank, int64_t step, std::string_view name,
                         const TensorView& tensor) {
  Record record;
  for (int i = 0; i < tensor.rank(); ++i) record.shape.push_back(tensor.dim(i));
  const float* values = tensor.as<float>();
  record.values.assign(values, values + tensor.num_elements());
  std::lock_guard lock(mutex_);
  seen_[std::string(name)][step][rank].push_back(std::move(record));
  joined_.clear();
}

void TensorRecorder::Clear() {
  seen_.clear();
  joined_.clear();
}

const std::vector<TensorRecorder::Record>& TensorRecorder::Of(
    const std::string& name) const {
  static const auto* const nothing = new std::vector<Record>();
  const auto found = seen_.find(name);
  if (found == seen_.end()) return *nothing;
  const auto [joined, is_new] = joined_.try_emplace(name);
  if (is_new) joined->second = Join(found->second, IsDealt(name));
  return joined->second;
}

std::vector<TensorRecorder::Record> TensorRecorder::Join(
    const RanksOfSteps& steps, bool is_dealt) {
  std::vector<Record> joined;
  for (const auto& [step, ranks] : steps) {
    const size_t begin = joined.size();
    for (const auto& [rank, records] : ranks) {
      if (rank > 0 && !is_dealt) break;
      for (size_t i = 0; i < records.size(); ++i) {
        if (begin + i == joined.size()) {
          joined.push_back(records[i]);
          continue;
        }
        Record& record = joined[begin + i];
        record.shape[0] += records[i].shape[0];
        record.values.insert(record.values.end(), records[i].values.begin(),
                             records[i].values.end());
      }
    }
  }
  return joined;
}

std::vector<std::string> TensorRecorder::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, steps] : seen_) names.push_back(name);
  return names;
}

}  // namespace blockserve
