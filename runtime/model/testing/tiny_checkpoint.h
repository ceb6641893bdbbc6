// Small random checkpoints, made by tests.
#ifndef BLOCKSERVE_RUNTIME_MODEL_TESTING_TINY_CHECKPOINT_H_
#define BLOCKSERVE_RUNTIME_MODEL_TESTING_TINY_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace blockserve {

struct TinyTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Tensors that a test may look at and change before it writes them.
class TinyCheckpoint {
 public:
  static constexpr int kVocabSize = 64;
  static constexpr int kHiddenDim = 32;

  // A Block Transformer of 2 + 2 GPT-NeoX layers: block_length 4, lookup and
  // prefix of 2. `embedder` and `token_decoder` replace these lines of the
  // configuration; tensors that they need are added by the test.
  static TinyCheckpoint BlockTransformer(
      const std::string& embedder = "projection_method: sum",
      const std::string& token_decoder =
          "expansion_method: null\n"
          "  expansion_ratio: 2\n"
          "  decoding_strategy: prefix");
  // A vanilla GPT-NeoX of `num_layers`, in Hugging Face's form.
  static TinyCheckpoint Vanilla(int num_layers, bool parallel_residual);

  // Normally distributed, around 1 for the weights of norms.
  void Add(const std::string& name, std::vector<int64_t> shape);
  void Remove(const std::string& name) { tensors_.erase(name); }
  TinyTensor& at(const std::string& name) { return tensors_.at(name); }

  // Writes configuration and tensors to a new directory of the running test.
  std::string Write() const;

 private:
  void AddGptNeoX(const std::string& prefix, int num_layers);

  std::string config_name_;
  std::string config_;
  std::map<std::string, TinyTensor> tensors_;
  std::mt19937 random_{1};
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TESTING_TINY_CHECKPOINT_H_
