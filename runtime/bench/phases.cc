#include "runtime/bench/phases.h"

#include "runtime/model/model.h"

namespace blockserve {

std::string_view NameOf(Phase phase) {
  switch (phase) {
    case Phase::kEmbed:
      return "embed";
    case Phase::kBlockDecoderGemm:
      return "block_decoder_gemm";
    case Phase::kBlockDecoderAttention:
      return "block_decoder_attention";
    case Phase::kBlockDecoderRest:
      return "block_decoder_rest";
    case Phase::kTokenDecoderGemm:
      return "token_decoder_gemm";
    case Phase::kTokenDecoderAttention:
      return "token_decoder_attention";
    case Phase::kTokenDecoderRest:
      return "token_decoder_rest";
    case Phase::kHeadAndSampling:
      return "head_and_sampling";
    case Phase::kCollectives:
      return "collectives";
    case Phase::kScheduling:
      return "scheduling";
  }
  return "";
}

absl::Duration PhaseTimes::total() const {
  absl::Duration sum;
  for (const absl::Duration time : times) sum += time;
  return sum;
}

PhaseTimes PhasesOf(const TimedOps::Times& ops,
                    const CommunicatorStats& collectives,
                    absl::Duration total) {
  const auto time_of = [&ops](StepPart part, OpKind kind) {
    return ops[static_cast<int>(part)][static_cast<int>(kind)].time;
  };
  PhaseTimes phases;
  for (const OpTime& time : ops[static_cast<int>(StepPart::kEmbedder)]) {
    phases.of(Phase::kEmbed) += time.time;
  }
  const StepPart block = StepPart::kCachedTrunk;
  phases.of(Phase::kBlockDecoderGemm) = time_of(block, OpKind::kLinear);
  phases.of(Phase::kBlockDecoderAttention) = time_of(block, OpKind::kAttention);
  phases.of(Phase::kBlockDecoderRest) = time_of(block, OpKind::kOther);
  const StepPart token = StepPart::kTokenDecoder;
  phases.of(Phase::kTokenDecoderGemm) = time_of(token, OpKind::kLinear);
  phases.of(Phase::kTokenDecoderAttention) = time_of(token, OpKind::kAttention);
  phases.of(Phase::kTokenDecoderRest) = time_of(token, OpKind::kOther);
  phases.of(Phase::kHeadAndSampling) = time_of(token, OpKind::kSampling);
  for (const CollectiveCount& count : collectives.ops) {
    phases.of(Phase::kCollectives) += count.time;
  }
  phases.of(Phase::kScheduling) = total - phases.total();
  return phases;
}

}  // namespace blockserve
