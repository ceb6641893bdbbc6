// Shows intermediate tensors to tests.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_OBSERVER_H_
#define BLOCKSERVE_RUNTIME_LAYERS_OBSERVER_H_

#include <glog/logging.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Without a function it costs a comparison. With one, a step allocates, waits
// for the device at every tensor, and takes no shortcuts.
class Observer {
 public:
  using Function = std::function<void(std::string_view, const TensorView&)>;

  Observer(Function function, Ops& ops)
      : function_(std::move(function)), ops_(ops) {}

  bool enabled() const { return function_ != nullptr; }

  // `tensor`: fp32, whole. The function gets a copy in the host's memory.
  void Show(std::string_view name, const TensorView& tensor) const {
    if (!enabled()) return;
    CHECK(tensor.dtype() == DType::kFloat32) << name;
    // A failure of the device stays with the Ops: the end of the step sees it.
    std::vector<float> values(static_cast<size_t>(tensor.num_elements()));
    ops_.CopyToHost(tensor.data(), values.data(), tensor.num_bytes());
    ops_.Synchronize().IgnoreError();
    function_(name, tensor.At(values.data()));
  }
  // As "`prefix`layer_input.`layer`".
  void ShowLayerInput(const std::string& prefix, int layer,
                      const TensorView& tensor) const {
    if (!enabled()) return;
    Show(absl::StrCat(prefix, "layer_input.", layer), tensor);
  }

 private:
  Function function_;
  Ops& ops_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_OBSERVER_H_
