#include "runtime/plan/plan_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace blockserve {
namespace {

using nlohmann::ordered_json;

// "1.54M", "75.9K", "12".
std::string Short(double value) {
  if (value >= 1e6) return absl::StrFormat("%.2fM", value * 1e-6);
  if (value >= 1e3) return absl::StrFormat("%.1fK", value * 1e-3);
  return absl::StrFormat("%.0f", value);
}

std::string TextOf(const Layout& layout) {
  if (layout.sharing == Sharing::kAlone) {
    return absl::StrCat("replicas x", layout.num_groups);
  }
  return absl::StrCat(layout.num_groups, " x ", NameOf(layout.sharing), " of ",
                      layout.ranks);
}

std::string TextOf(const ServingRate& rate) {
  return absl::StrFormat("%s %s %.0f%%", Short(rate.tokens_per_second),
                         rate.bound(), 100 * rate.bound_share());
}

std::vector<std::string> AssumptionsOf(const PlanOptions& options) {
  const PlanAssumptions& assumed = options.assumptions;
  const GpuSpec& gpu = assumed.gpu;
  return {
      absl::StrFormat("%s: %.0f TFLOP/s dense bf16, %.2f TB/s, %.0f GB, %.0f "
                      "GB/s to peers each way (datasheet)",
                      gpu.title, gpu.flop_per_second * 1e-12,
                      gpu.bytes_per_second * 1e-12, gpu.memory_bytes * 1e-9,
                      gpu.link_bytes_per_second * 1e-9),
      absl::StrFormat("%.0f%% of these peaks are reached; %.0f%% of the memory "
                      "is used",
                      100 * assumed.efficiency, 100 * assumed.memory_share),
      "weights, cache and activations are bf16; a class of kernels takes as "
      "long as its FLOP or its bytes, whichever is longer, one class after "
      "the other",
      absl::StrFormat(
          "%d kernels a layer and %d a head, %.1f us each in a CUDA "
          "graph, beside their work",
          kKernelsPerLayer, kKernelsPerHead, assumed.launch_seconds * 1e6),
      assumed.fuses_sampling
          ? "sampling is fused into the head: logits never reach memory"
          : "logits are written once and read once",
      absl::StrFormat("one all-reduce a layer: the shorter of %.0f us and all "
                      "vectors at once, and %.0f us and a ring",
                      kOneShotSeconds * 1e6, kRingSeconds * 1e6),
      "tensor: both decoders are dealt by heads; hybrid: the block decoder is, "
      "the token decoder is whole on every rank, for its share of the "
      "sequences",
      "tokens/s count new tokens over prefill and decoding of one full batch, "
      "at the mean context; prompts are bounded by FLOP alone",
      "a schedule that is never idle: no gaps between batches, no host time",
  };
}

std::string Header(const ServingPlan& plan, const ModelConfig& config,
                   const PlanOptions& options) {
  return absl::StrFormat(
      "%s on %d x %s, %d prompt tokens, %d new: computed, not measured\n"
      "%.1fM parameters, %.0f MFLOP a token, %.2f KB of cache kept a token, "
      "%.3f MB read a token, %.2f MB a sequence\n",
      config.name, options.num_gpus, options.assumptions.gpu.title,
      options.prompt_tokens, options.new_tokens, plan.parameters * 1e-6,
      plan.flop_per_token * 1e-6, plan.cache_bytes_per_token * 1e-3,
      plan.read_bytes_per_token * 1e-6, plan.sequence_bytes * 1e-6);
}

void AddLayouts(const ServingPlan& plan, std::string& text) {
  absl::StrAppendFormat(&text, "\n%-18s %13s %15s %8s  %-24s %9s %10s\n",
                        "layout", "weights/rank", "sequence/rank", "batch",
                        "tokens/s, bound", "ms/token", "prompt ms");
  for (const LayoutPlan& layout : plan.layouts) {
    absl::StrAppendFormat(
        &text, "%-18s %10.2f GB %12.3f MB %8d  ", TextOf(layout.layout),
        layout.memory.weight_bytes * 1e-9, layout.memory.sequence_bytes * 1e-6,
        layout.max_batch * layout.layout.num_groups);
    if (layout.max_batch == 0) {
      absl::StrAppend(&text, "does not fit\n");
      continue;
    }
    absl::StrAppendFormat(&text, "%-24s %9.3f %10.3f\n", TextOf(layout.full),
                          layout.full.seconds_per_token * 1e3,
                          layout.prompt_latency * 1e3);
  }
  for (const std::string& why : plan.refused) {
    absl::StrAppend(&text, "left out: ", why, "\n");
  }
}

// The layout of most tokens a second at `batch` sequences is marked.
void AddRegimes(const ServingPlan& plan, std::string& text) {
  std::vector<int64_t> batches;
  for (const LayoutPlan& layout : plan.layouts) {
    for (const ServingRate& rate : layout.regimes) {
      batches.push_back(rate.batch);
    }
  }
  std::sort(batches.begin(), batches.end());
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  absl::StrAppend(
      &text, "\ntokens/s and bound of fewer sequences at once (*: most)\n");
  for (const int64_t batch : batches) {
    double best = 0;
    for (const LayoutPlan& layout : plan.layouts) {
      for (const ServingRate& rate : layout.regimes) {
        if (rate.batch == batch) best = std::max(best, rate.tokens_per_second);
      }
    }
    for (const LayoutPlan& layout : plan.layouts) {
      for (const ServingRate& rate : layout.regimes) {
        if (rate.batch != batch) continue;
        absl::StrAppendFormat(&text, "%8d %c %-18s %-24s %9.3f ms/token\n",
                              batch, rate.tokens_per_second == best ? '*' : ' ',
                              TextOf(layout.layout), TextOf(rate),
                              rate.seconds_per_token * 1e3);
      }
    }
  }
}

ordered_json ToJson(const ServingRate& rate) {
  return {{"batch", rate.batch},
          {"tokens_per_second", rate.tokens_per_second},
          {"seconds_per_token", rate.seconds_per_token},
          {"bound", rate.bound()},
          {"shares",
           {{"prefill", rate.prompt_share},
            {"compute", rate.decode_shares.compute},
            {"memory", rate.decode_shares.memory},
            {"launch", rate.decode_shares.launch},
            {"exchange", rate.decode_shares.exchange}}}};
}

ordered_json ToJson(const LayoutPlan& plan) {
  ordered_json json = {{"sharing", NameOf(plan.layout.sharing)},
                       {"ranks", plan.layout.ranks},
                       {"groups", plan.layout.num_groups},
                       {"weight_bytes_per_rank", plan.memory.weight_bytes},
                       {"sequence_bytes_per_rank", plan.memory.sequence_bytes},
                       {"usable_bytes_per_rank", plan.memory.usable_bytes},
                       {"max_batch_per_group", plan.max_batch},
                       {"prompt_latency_seconds", plan.prompt_latency},
                       {"full", nullptr},
                       {"regimes", ordered_json::array()}};
  if (plan.max_batch > 0) json["full"] = ToJson(plan.full);
  for (const ServingRate& rate : plan.regimes) {
    json["regimes"].push_back(ToJson(rate));
  }
  return json;
}

}  // namespace

std::string PlanToTable(const ServingPlan& plan, const ModelConfig& config,
                        const PlanOptions& options) {
  std::string text = Header(plan, config, options);
  AddLayouts(plan, text);
  AddRegimes(plan, text);
  absl::StrAppend(&text, "\nassumed:\n  ",
                  absl::StrJoin(AssumptionsOf(options), "\n  "), "\n");
  return text;
}

std::string PlanToJson(const ServingPlan& plan, const ModelConfig& config,
                       const PlanOptions& options) {
  ordered_json json = {{"kind", "computed"},
                       {"model", config.name},
                       {"gpu", options.assumptions.gpu.name},
                       {"gpus", options.num_gpus},
                       {"prefill", options.prompt_tokens},
                       {"decode", options.new_tokens},
                       {"parameters", plan.parameters},
                       {"flop_per_token", plan.flop_per_token},
                       {"cache_bytes_per_token", plan.cache_bytes_per_token},
                       {"read_bytes_per_token", plan.read_bytes_per_token},
                       {"sequence_bytes", plan.sequence_bytes},
                       {"layouts", ordered_json::array()},
                       {"refused", plan.refused},
                       {"assumptions", AssumptionsOf(options)}};
  for (const LayoutPlan& layout : plan.layouts) {
    json["layouts"].push_back(ToJson(layout));
  }
  return json.dump(2) + "\n";
}

}  // namespace blockserve
