#include "runtime/plan/serving_plan.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/bench/roofline.h"

namespace blockserve {
namespace {

// A sequence's activations beside its cache; logits are made a chunk at a time.
constexpr double kActivationBytes = 32 * 4096;

// Sequences at once for which rates are told, beside all that fit.
constexpr int64_t kRegimes[] = {1, 8, 32, 128, 512, 2048, 8192};

// Elements of the weights that a hybrid shares out, and of those it repeats.
struct Parameters {
  double cached = 0;  // embedding and the trunk with the paged cache
  double token = 0;   // all behind it
};

Parameters ParametersOf(const ModelConfig& config) {
  const double vocabulary = config.vocab_size;
  const TrunkConfig& decoder = config.token_decoder;
  if (config.family == ModelFamily::kVanilla) {
    return {vocabulary * decoder.hidden_dim + TrunkParameters(decoder),
            vocabulary * decoder.hidden_dim};
  }
  return {vocabulary * config.embedder.hidden_dim +
              TrunkParameters(config.block_decoder),
          ExpansionParameters(config) + TrunkParameters(decoder) +
              2 * vocabulary * decoder.hidden_dim};
}

// The block in the making, which the token decoder keeps while it is.
double LocalCacheBytes(const ModelConfig& config) {
  if (config.family == ModelFamily::kVanilla) return 0;
  const bool has_prefix = config.strategy == DecodingStrategy::kPrefix;
  const int positions =
      config.block_length + (has_prefix ? config.expansion_ratio - 1 : 0);
  return positions *
         KvBytesPerPosition(config.token_decoder, kPlanElementBytes);
}

double CacheBytesPerToken(const ModelConfig& config) {
  return KvBytesPerPosition(config.cached_trunk(), kPlanElementBytes) /
         config.tokens_per_step();
}

double SequenceBytes(const ModelConfig& config, const PlanOptions& options) {
  return CacheBytesPerToken(config) *
             (options.prompt_tokens + options.new_tokens) +
         LocalCacheBytes(config);
}

RankMemory MemoryOf(const ModelConfig& config, const PlanOptions& options,
                    const Layout& layout) {
  const Parameters parameters = ParametersOf(config);
  const double token_ranks =
      layout.sharing == Sharing::kHybrid ? 1 : layout.ranks;
  RankMemory memory;
  memory.weight_bytes = kPlanElementBytes * (parameters.cached / layout.ranks +
                                             parameters.token / token_ranks);
  memory.sequence_bytes =
      (SequenceBytes(config, options) + kActivationBytes) / layout.ranks;
  memory.usable_bytes =
      options.assumptions.gpu.memory_bytes * options.assumptions.memory_share;
  return memory;
}

// Keys and values that decoding reads for one token.
double ReadBytesPerToken(const ModelConfig& config, double context) {
  double bytes = 0;
  for (const WorkPart& part :
       DecodeStepWorkParts(config, kPlanElementBytes, 1, context)) {
    if (part.kind == WorkKind::kAttention ||
        part.kind == WorkKind::kTokenAttention) {
      bytes += part.work.bytes;
    }
  }
  return bytes / config.tokens_per_step();
}

double MeanContext(const PlanOptions& options) {
  return options.prompt_tokens + options.new_tokens / 2.0;
}

// Why `ranks` ranks cannot share the model; empty: they can.
std::string WhyNot(const ModelConfig& config, Sharing sharing, int ranks) {
  const int cached = config.cached_trunk().num_heads;
  const int token = config.token_decoder.num_heads;
  const int heads = cached % ranks != 0                                 ? cached
                    : sharing == Sharing::kTensor && token % ranks != 0 ? token
                                                                        : 0;
  if (heads == 0) return "";
  return absl::StrCat(NameOf(sharing), " x", ranks, ": ", heads,
                      " heads cannot be dealt to ", ranks, " ranks");
}

LayoutPlan PlanLayout(const ModelConfig& config, const PlanOptions& options,
                      const Layout& layout) {
  LayoutPlan plan;
  plan.layout = layout;
  plan.memory = MemoryOf(config, options, layout);
  const double room = plan.memory.usable_bytes - plan.memory.weight_bytes;
  plan.max_batch =
      room <= 0 ? 0 : static_cast<int64_t>(room / plan.memory.sequence_bytes);
  plan.prompt_latency = PromptLatencySeconds(
      config, options.assumptions, layout.ranks, options.prompt_tokens);
  const int64_t most = plan.max_batch * layout.num_groups;
  if (most == 0) return plan;
  for (const int64_t batch : kRegimes) {
    // A hybrid needs a sequence for each rank.
    if (layout.sharing == Sharing::kHybrid && batch < layout.ranks) continue;
    if (batch >= most) break;
    plan.regimes.push_back(RateOf(config, options, layout, batch));
  }
  plan.full = RateOf(config, options, layout, most);
  return plan;
}

std::vector<std::pair<std::string, double>> SharesOf(const ServingRate& rate) {
  return {{"prefill", rate.prompt_share},
          {"compute", rate.decode_shares.compute},
          {"memory", rate.decode_shares.memory},
          {"launch", rate.decode_shares.launch},
          {"exchange", rate.decode_shares.exchange}};
}

std::pair<std::string, double> LargestShare(const ServingRate& rate) {
  const auto shares = SharesOf(rate);
  return *std::max_element(
      shares.begin(), shares.end(),
      [](const auto& a, const auto& b) { return a.second < b.second; });
}

}  // namespace

std::string NameOf(Sharing sharing) {
  switch (sharing) {
    case Sharing::kAlone:
      return "replicas";
    case Sharing::kTensor:
      return "tensor";
    case Sharing::kHybrid:
      return "hybrid";
  }
  return "";
}

std::string ServingRate::bound() const { return LargestShare(*this).first; }
double ServingRate::bound_share() const { return LargestShare(*this).second; }

ServingRate RateOf(const ModelConfig& config, const PlanOptions& options,
                   const Layout& layout, int64_t batch) {
  // The group with the most sequences is the last to end.
  const int64_t largest = (batch + layout.num_groups - 1) / layout.num_groups;
  const StepTime prompt =
      PromptTime(config, options.assumptions, layout.ranks,
                 static_cast<double>(largest), options.prompt_tokens);
  const StepTime step =
      DecodeStepTime(config, options.assumptions, layout.sharing, layout.ranks,
                     static_cast<double>(largest), MeanContext(options));
  const double steps =
      double{1} * options.new_tokens / config.tokens_per_step();
  const double seconds = prompt.total() + steps * step.total();
  ServingRate rate;
  rate.batch = batch;
  rate.tokens_per_second =
      static_cast<double>(batch) * options.new_tokens / seconds;
  rate.seconds_per_token = step.total() / config.tokens_per_step();
  rate.prompt_share = prompt.total() / seconds;
  rate.decode_shares = steps / seconds * step;
  return rate;
}

absl::StatusOr<ServingPlan> MakeServingPlan(const ModelConfig& config,
                                            const PlanOptions& options) {
  if (options.num_gpus < 1 || options.prompt_tokens < 1 ||
      options.new_tokens < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected at least one GPU, prompt token and new token, got ",
        options.num_gpus, ", ", options.prompt_tokens, " and ",
        options.new_tokens));
  }
  if (!HasRoofline(config)) {
    return absl::UnimplementedError(absl::StrCat(
        "plans are made for GPT-NeoX models with a lookup embedder and a "
        "prefix or sums, which ",
        config.name, " is not"));
  }
  ServingPlan plan;
  const Parameters parameters = ParametersOf(config);
  const double context = MeanContext(options);
  plan.parameters = parameters.cached + parameters.token;
  plan.flop_per_token =
      DecodeStepWork(config, kPlanElementBytes, 1, context).flop /
      config.tokens_per_step();
  plan.cache_bytes_per_token = CacheBytesPerToken(config);
  plan.read_bytes_per_token = ReadBytesPerToken(config, context);
  plan.sequence_bytes = SequenceBytes(config, options);
  plan.layouts.push_back(
      PlanLayout(config, options, {Sharing::kAlone, 1, options.num_gpus}));
  for (int ranks = 2; ranks <= options.num_gpus; ++ranks) {
    if (options.num_gpus % ranks != 0) continue;
    for (const Sharing sharing : {Sharing::kTensor, Sharing::kHybrid}) {
      if (sharing == Sharing::kHybrid &&
          config.family == ModelFamily::kVanilla) {
        continue;
      }
      const std::string why_not = WhyNot(config, sharing, ranks);
      if (why_not.empty()) {
        plan.layouts.push_back(PlanLayout(
            config, options, {sharing, ranks, options.num_gpus / ranks}));
      } else {
        plan.refused.push_back(why_not);
      }
    }
  }
  return plan;
}

}  // namespace blockserve
