// What a checkpoint's configuration says about its model (FORMAT.md section 3).
#ifndef BLOCKSERVE_RUNTIME_CONFIG_MODEL_CONFIG_H_
#define BLOCKSERVE_RUNTIME_CONFIG_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace blockserve {

enum class ModelFamily { kBlockTransformer, kVanilla };
enum class TrunkKind { kGptNeoX, kGptNeo, kT5, kRoberta };
enum class EmbedderKind { kLookup, kRoberta, kRobertaCls };
// How the embedder's vectors of a block become one. kSum: the vectors, as wide
// as the block decoder, are added.
enum class EmbedderProjection { kConcat, kProjectionLayer, kSum };
enum class DecodingStrategy { kPrefix, kSummation, kCrossAttention };

// One stack of transformer layers.
struct TrunkConfig {
  TrunkKind kind = TrunkKind::kGptNeoX;
  int vocab_size = 0;
  int hidden_dim = 0;
  int ffn_dim = 0;
  int num_heads = 0;
  int head_dim = 0;
  int num_layers = 0;
  float norm_eps = 1e-5f;
  int max_positions = 0;  // of a learned table (GPT-Neo, RoBERTa); rotary: as
                          // trained, not a limit
  // GPT-NeoX.
  float rotary_pct = 0.25f;
  float rotary_base = 10000.0f;
  bool parallel_residual = true;
  // GPT-Neo: odd layers see this many positions. 0: all layers see all.
  int window_size = 0;
  // T5.
  int relative_attention_num_buckets = 32;
  int relative_attention_max_distance = 128;

  int rotary_dim() const {
    return kind == TrunkKind::kGptNeoX
               ? static_cast<int>(static_cast<float>(head_dim) * rotary_pct)
               : 0;
  }
};

struct EmbedderConfig {
  EmbedderKind kind = EmbedderKind::kLookup;
  EmbedderProjection projection = EmbedderProjection::kConcat;
  int num_cls_tokens = 1;  // roberta_cls only
  int vocab_size = 0;
  int hidden_dim = 0;
  std::optional<int> pad_token_id;  // RoBERTa: 1
  int bos_token_id = 0;             // the id of CLS positions
  TrunkConfig trunk;                // RoBERTa only
};

struct SpecialTokens {  // FORMAT.md 3.4
  int bos = 0;
  int eos = 0;
  int fill = 0;
  int finished_row_pad = 1;
  int prompt_pad = 0;
};

struct ModelConfig {
  std::string name;
  ModelFamily family = ModelFamily::kBlockTransformer;
  int block_length = 1;  // 1 for vanilla
  int vocab_size = 0;
  SpecialTokens special;
  std::string precision;  // as in the file: "fp32", "bf16", "fp16" or ""
  int max_length = 0;     // training context in tokens; 0: unknown

  // Block Transformer only.
  EmbedderConfig embedder;
  TrunkConfig block_decoder;
  DecodingStrategy strategy = DecodingStrategy::kPrefix;
  bool has_expansion_layer = true;
  int expansion_ratio = 1;
  // The token decoder; of a vanilla model, the whole model.
  TrunkConfig token_decoder;

  int tokens_per_step() const { return block_length; }
  // The trunk that holds the paged KV cache.
  const TrunkConfig& cached_trunk() const {
    return family == ModelFamily::kVanilla ? token_decoder : block_decoder;
  }
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_MODEL_CONFIG_H_
