// A worker's events of one sequence to what a client gets of one choice.
#ifndef BLOCKSERVE_ROUTER_CHOICE_DECODER_H_
#define BLOCKSERVE_ROUTER_CHOICE_DECODER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "blockserve/v1/generation.pb.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "runtime/text/text_stream.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {

struct ChoiceDecoderOptions {
  // Null: no text. Must outlive the decoder.
  const Tokenizer* tokenizer = nullptr;
  TextStreamOptions text;
  // Ids that end the completion; their text is left out unless
  // include_stop_token_text.
  std::vector<uint32_t> stop_token_ids;
  bool include_stop_token_text = false;
};

// A log-probability with the tokens' own texts, which are empty without a
// tokenizer.
v1::TokenLogprob ToTokenLogprob(uint32_t token_id,
                                const worker::v1::TokenLogprobs& logprobs,
                                const Tokenizer* tokenizer);

// Not thread-safe.
class ChoiceDecoder {
 public:
  explicit ChoiceDecoder(ChoiceDecoderOptions options);

  // Fills tokens, text and log-probabilities of `delta`, and finish_reason and
  // matched_stop if the event is the last or completes a stop string; nothing
  // may be decoded after that. Usage, timings and seed are left to the caller.
  void Decode(const worker::v1::RequestEvent& event,
              v1::GenerateStreamResponse* delta);

  // Tokens of the completion so far, those after a stop string not counted.
  int num_tokens() const { return num_tokens_; }

 private:
  // Returns how many tokens belong to the completion.
  int DecodeTokens(absl::Span<const uint32_t> ids,
                   v1::GenerateStreamResponse* delta);
  bool IsStopToken(uint32_t id) const;
  // Returns how many of `ids` belong to the completion.
  int PushText(absl::Span<const uint32_t> ids,
               v1::GenerateStreamResponse* delta);

  const ChoiceDecoderOptions options_;
  const std::unique_ptr<TextStream> text_;  // null: no tokenizer
  int num_tokens_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_CHOICE_DECODER_H_
